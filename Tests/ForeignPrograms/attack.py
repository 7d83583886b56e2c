"""A service in Python that goes wrong on purpose: attack.py SOCKET FILE. FILE is its client's alone; three
connections of that client's come. Each expectation is a line, "ok" or "FAILED"."""

import asyncio
import contextlib
import errno
import gc
import os
import socket
import sys
import threading

import guise

failures = 0


def expect(what, is_so):
    global failures
    failures += not is_so
    print("ok" if is_so else "FAILED", what, flush=True)


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return error
    return None


def opens(path):
    try:
        with open(path):
            return True
    except PermissionError:
        return False


def descriptors():
    directory = "/proc/self/fd"
    return {(number, os.readlink(f"{directory}/{number}")) for number in os.listdir(directory)
            if os.path.islink(f"{directory}/{number}")}


def main(path, file):
    expect("not attached", raises(OSError, guise.process_token).errno == errno.ENOTCONN)
    guise.attach()
    expect("attached twice", raises(OSError, guise.attach).errno == errno.EALREADY)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen(16)
    print("serving", flush=True)

    def client():
        connection = listener.accept()[0]
        return connection, guise.Client(connection)

    expect("no socket", raises(OSError, guise.Client, -1).errno == errno.EBADF)
    expect("the listener", raises(OSError, guise.Client, listener).errno == errno.ECONNABORTED)
    expect("another family", raises(OSError, guise.Client, socket.socket()).errno == errno.EPROTOTYPE)

    socket1, alice = client()
    expect("closed before", not opens(file))
    with alice.impersonate() as same:
        expect("the client", opens(file) and same is alice)
        expect("the thread's level", guise.thread_token().level == guise.IMPERSONATION)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(opens(file)))
        thread.start()
        thread.join()
        expect("no other thread", seen == [False])
    expect("the service again", not opens(file))
    expect("level and process", alice.level == guise.IMPERSONATION and alice.process > 0)

    def fails():
        with alice.impersonate():
            raise KeyError("x")

    expect("an exception passes", raises(KeyError, fails) is not None and not opens(file))

    _, other = client()
    with alice.impersonate():
        with other.impersonate():
            expect("a block in a block", opens(file))
        expect("the outer block's again", opens(file))
        with contextlib.suppress(OSError):
            other.close()
    expect("none at the end", not opens(file))
    expect("closed", raises(OSError, other.impersonate().__enter__).errno == errno.EINVAL)

    # The end of the inner block cannot become the closed outer one: it is the service, and the outer block ends.
    _, gone = client()
    reached = []

    def outer_closed():
        with gone.impersonate():
            with alice.impersonate():
                gone.close()
            reached.append(True)

    expect("an outer block that is gone", raises(OSError, outer_closed) is not None and not reached)
    expect("and nobody's identity is left", not opens(file) and guise.thread_token().level == guise.PRIMARY)

    expect("run", alice.run(opens, file) and not opens(file))
    expect("run fails", raises(OSError, alice.run, os.stat, "/nowhere").errno == errno.ENOENT and not opens(file))

    async def coroutine():
        with alice.impersonate():
            await asyncio.sleep(0)

    def generator():
        with alice.impersonate():
            yield

    async def in_a_loop():
        expect("run in a loop", alice.run(opens, file) and not opens(file))
        expect("on a thread", await asyncio.to_thread(alice.run, opens, file))

    expect("no coroutine", raises(RuntimeError, asyncio.run, coroutine()) is not None)
    expect("no generator", raises(RuntimeError, next, generator()) is not None)
    expect("run takes no coroutine", raises(RuntimeError, alice.run, coroutine) is not None)
    expect("run takes no generator", raises(RuntimeError, alice.run, generator) is not None)
    asyncio.run(in_a_loop())
    expect("still the service", not opens(file))

    token = alice.token()
    expect("the token", token.level == guise.IMPERSONATION and token.integrity == 0x2000 and token.name == "alice")
    expect("its groups", token.is_member("S-1-1-0") and not token.is_member("S-1-5-21-1-2-3-4"))
    expect("its privileges", "SeChangeNotifyPrivilege" in token.enabled_privileges)
    expect("not the service's", "SeImpersonatePrivilege" not in token.privileges)
    expect("as text and attributes", any(sid == "S-1-1-0" and attributes & 4 for sid, attributes in token.groups))
    mine = guise.descriptor(f"O:SYG:SYD:(A;;FR;;;{token.user})")
    expect("may read", token.may(mine, 0x1) == 0x1 and token.may(mine, guise.MAXIMUM_ALLOWED) == 0x120089)
    expect("may not write", raises(PermissionError, token.may, mine, 0x2) is not None)
    expect("a mapping", token.may(guise.descriptor("O:SYG:SYD:(A;;GR;;;WD)"), 0x80000000, (1, 2, 4, 15)) == 1)
    expect("no SDDL", raises(OSError, guise.descriptor, "nonsense").errno == errno.EINVAL)
    expect("no descriptor", raises(OSError, token.may, b"nonsense", 1).errno == errno.EINVAL)
    expect("own", guise.process_token().level == guise.PRIMARY)

    # Many threads, each for a while the client or not.
    results = []

    def work(number):
        for _ in range(200):
            if number % 2:
                results.append(alice.run(opens, file))
            else:
                results.append(not opens(file))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("many threads", results == [True] * 1600)

    # A child has no client, and lets go of what it was told of without harm.
    with alice.impersonate():
        child = os.fork()
        if child == 0:
            fine = not opens(file) and raises(OSError, alice.impersonate().__enter__).errno == errno.EBADF
            del token
            gc.collect()
            os._exit(0 if fine else 1)
        expect("a child", os.waitpid(child, 0)[1] == 0 and opens(file))

    # Connecting, with a level; the service's own token comes.
    connection = guise.connect(path, guise.IDENTIFICATION, effective_only=True)
    accepted = client()
    while accepted[1].token().name == "alice":
        accepted = client()
    expect("connected at a level", accepted[1].level == guise.IDENTIFICATION)
    accepted[0].sendall(b"x")
    expect("a socket", connection.recv(1) == b"x")

    # What exceptions still refer to.
    gc.collect()
    before = descriptors()
    for _ in range(1000):
        with alice.impersonate():
            pass
        alice.token()
    gc.collect()
    expect("nothing is left", descriptors() <= before)
    return failures


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) != 0)
