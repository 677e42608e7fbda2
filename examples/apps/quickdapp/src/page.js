// The script of the page. It works with and without the SDK of the browser.
"use strict";
(() => {
  const sdk = window.Sentry;
  const element = (id) => document.getElementById(id);
  const log = (text) => { element("log").textContent += `${text}\n`; };
  element("sdk").hidden = Boolean(sdk);

  // The SDK adds the trace to each request. Without it, the page does, from the head of the page.
  const trace = {};
  for (const name of sdk ? [] : ["sentry-trace", "baggage"]) {
    const tag = document.querySelector(`meta[name="${name}"]`);
    if (tag) trace[name] = tag.content;
  }

  async function call(method, path, body) {
    const headers = { "content-type": "application/json", ...trace };
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  // A wallet for this page. A real one is an extension of the browser, and its key never leaves it.
  const wallet = {
    async connect() {
      if (this.keys) return;
      this.keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
      this.publicKey = await crypto.subtle.exportKey("raw", this.keys.publicKey);
      this.address = `0x${hex(await crypto.subtle.digest("SHA-256", this.publicKey)).slice(-40).toUpperCase()}`;
    },
    sign(text) {
      return crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, this.keys.privateKey, new TextEncoder().encode(text));
    },
  };

  function show(address) {
    element("wallet").textContent = address ?? "none";
    // What the page reports from now on is about this user, or about none.
    sdk?.setUser(address ? { id: address } : null);
  }

  async function signIn() {
    await wallet.connect();
    // The text names this site and this wallet.
    const { nonce, text } = await call("POST", "/api/challenge", { wallet: wallet.address });
    const signature = hex(await wallet.sign(text));
    const signed = { wallet: wallet.address, nonce, publicKey: hex(wallet.publicKey), signature };
    show((await call("POST", "/api/sign-in", signed)).wallet);
    log("signed in");
  }

  async function signOut() {
    await call("POST", "/api/sign-out");
    show(null);
    log("signed out");
  }

  async function deploy() {
    const { token } = await call("POST", "/api/tokens", { symbol: element("symbol").value });
    log(`token ${token} is ordered`);
    for (;;) {
      const { contract, failure } = await call("GET", `/api/tokens/${token}`);
      if (contract || failure) return log(contract ? `token ${token} is at ${contract}` : `token ${token}: ${failure}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  let errors = 0;
  function fail() {
    errors += 1;
    log(`error ${errors}`);
    throw new Error(`error ${errors} of the page, password=hunter2`);
  }

  async function send() {
    // With the id of the last error, the words of the user are shown beside it.
    const { id } = await call("POST", "/feedback", { message: element("message").value, event_id: sdk?.lastEventId() });
    log(`thank you (${id})`);
  }

  element("sign-in").addEventListener("click", signIn);
  element("sign-out").addEventListener("click", signOut);
  element("deploy").addEventListener("click", deploy);
  element("fail").addEventListener("click", fail);
  element("send").addEventListener("click", send);
  call("GET", "/api/session").then((session) => show(session.wallet));
})();
