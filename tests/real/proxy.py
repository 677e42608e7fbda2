"""A proxy that forwards, tunnels and speaks SOCKS5, and notes what it was asked for: proxy.py PORT LOG

Whatever the host, it connects to this machine: only who goes by the proxy finds `sentry.test`.
"""
import asyncio
import sys
from urllib.parse import urlsplit


def note(line):
    with open(sys.argv[2], "a", encoding="utf-8") as log:
        print(line, file=log)


async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def join(reader, writer, port, first=b""):
    server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
    server_writer.write(first)
    await asyncio.gather(pump(reader, server_writer), pump(server_reader, writer), return_exceptions=True)


async def socks(reader, writer):
    methods = await reader.readexactly((await reader.readexactly(1))[0])
    assert methods == b"\x02", methods
    writer.write(b"\x05\x02")
    await reader.readexactly(1)
    user = await reader.readexactly((await reader.readexactly(1))[0])
    password = await reader.readexactly((await reader.readexactly(1))[0])
    writer.write(b"\x01\x00")
    assert await reader.readexactly(4) == b"\x05\x01\x00\x03", "a name for the proxy to look up"
    host = await reader.readexactly((await reader.readexactly(1))[0])
    port = int.from_bytes(await reader.readexactly(2))
    note(f"SOCKS {host.decode()} {user.decode()}:{password.decode()}")
    writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2))
    await join(reader, writer, port)


async def serve(reader, writer):
    first = await reader.read(1)
    if not first:
        return writer.close()  # who only looked whether somebody listens
    if first == b"\x05":
        return await socks(reader, writer)
    head = first + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    method, target, _ = lines[0].split()
    headers = [line.split(": ", 1) for line in lines[1:] if line]
    authorization = next((value for name, value in headers if name.lower() == "proxy-authorization"), "nobody")
    if method == "CONNECT":
        note(f"CONNECT {target.split(':')[0]} {authorization}")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await join(reader, writer, int(target.rsplit(":", 1)[1]))
    else:
        url = urlsplit(target)
        note(f"{method} {url.hostname}{url.path} {authorization}")
        origin_form = head.replace(target.encode(), url.path.encode(), 1)
        await join(reader, writer, url.port, origin_form)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    async with server:
        await server.serve_forever()


asyncio.run(main())
