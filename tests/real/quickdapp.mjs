// Presses the buttons of QuickDapp's page: quickdapp.mjs CHROMIUM PAGE FOLDER
// Keeps in FOLDER what the browser's SDK sends, and in FOLDER/secrets.json what must not be in it.
import { mkdirSync, writeFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [executablePath, url, folder] = process.argv.slice(2);
mkdirSync(folder);
const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server"];
const browser = await chromium.launch({ executablePath, headless: true, args });
try {
  const page = await browser.newPage();
  // A busy machine may take long for each step, and the first replay is sent after all of them.
  page.setDefaultTimeout(120_000);
  let sent = 0;
  const secrets = ["hunter2"];
  page.on("request", (request) => {
    const body = request.postDataBuffer();
    if (new URL(request.url()).pathname === "/t" && body) writeFileSync(`${folder}/${String(++sent).padStart(4, "0")}.envelope`, body);
  });
  const answered = (test) => page.waitForResponse((response) => new URL(response.url()).pathname === "/t" && test(response.request().postDataBuffer()));
  const log = (text) => page.waitForFunction((text) => document.getElementById("log").textContent.includes(text), text);
  const press = (name) => page.click(`#${name}`);
  // An error has arrived once the tunnel has answered.
  const fail = async (number) => {
    const arrived = answered((body) => body?.includes(`error ${number} of the page`));
    await press("fail");
    if ((await arrived).status() !== 200) throw new Error(`error ${number}: ${(await arrived).status()}`);
  };
  const replayed = answered((body) => body?.includes("replay_recording"));

  await page.goto(url);
  await fail(1);
  const signIn = page.waitForResponse((response) => response.url().endsWith("/api/sign-in"));
  await press("sign-in");
  const { nonce, publicKey, signature } = (await signIn).request().postDataJSON();
  const [session] = await page.context().cookies();
  secrets.push(nonce, publicKey, signature, session.value);
  await log("signed in");
  await fail(2);
  await press("deploy");
  await log(" is at 0x");
  await page.fill("#message", "the second error, password=hunter2");
  await press("send");
  await log("thank you");
  await press("sign-out");
  await log("signed out");
  await fail(3);
  if ((await replayed).status() !== 200) throw new Error(`the replay: ${(await replayed).status()}`);
  // What the SDK has kept for later.
  if (!(await page.evaluate(() => Sentry.flush(60_000)))) throw new Error("the SDK has not sent all it has");
  writeFileSync(`${folder}/secrets.json`, JSON.stringify(secrets));
} finally {
  await browser.close();
}
