"""Act as one's client, from Python: guise.h by ctypes. Needs libguise.so (scripts/install-c) and nothing else.

    import guise

    guise.attach()                              # once, at start, under `guise run`
    client = guise.Client(connection)           # an accepted Unix socket, which stays yours
    with client.impersonate():                  # this thread is the client now, no other is
        text = open("/srv/files/plan").read()   # what the client may have, or PermissionError

What is refused is an OSError: PermissionError, FileNotFoundError, ... by its errno, with the library's own sentence.

Impersonation is the thread's. With a thread for each client (socketserver.ThreadingMixIn, a WSGI server's threads)
nothing else is to be seen to. Where several tasks share a thread, what stands in the block must be over before
another task has its turn: so the block is refused in coroutines and generators, where `await` and `yield` would leave
it with the client's identity in force. There, call a function instead: `client.run(function, ...)`, or, so that the
loop need not wait, `await asyncio.to_thread(client.run, function, ...)`.
"""

import contextlib
import ctypes
import inspect
import os
import socket
import sys
import threading

__all__ = [
    "ANONYMOUS", "IDENTIFICATION", "IMPERSONATION", "DELEGATION", "PRIMARY", "Client", "Token", "attach", "connect",
    "descriptor", "process_token", "revert", "thread_token",
]

API_VERSION = 1
ANONYMOUS, IDENTIFICATION, IMPERSONATION, DELEGATION, PRIMARY = range(5)
MAXIMUM_ALLOWED = 0x02000000

_COOPERATIVE = _BORROW = _DYNAMIC = 1
_EFFECTIVE_ONLY = 2

# A soname, or a path of one's own.
_library = ctypes.CDLL(os.environ.get("GUISE_LIBRARY", "libguise.so.1"), use_errno=True)
_library.guise_error_message.restype = ctypes.c_char_p

_handle, _size, _text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
_int, _unsigned = ctypes.c_int, ctypes.c_uint


class _Mapping(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("read", "write", "execute", "all")]


def _check(result, function, arguments):
    if result >= 0:
        return result
    raise OSError(ctypes.get_errno(), _library.guise_error_message().decode(errors="replace"))


def _function(name, *arguments):
    function = getattr(_library, name)
    function.argtypes, function.restype, function.errcheck = arguments, _int, _check
    return function


_attach = _function("guise_attach", _int, _text, _unsigned, _size)
_connection_open = _function("guise_connection_open", _int, _unsigned, ctypes.POINTER(_handle))
_connect = _function("guise_connect", _text, _int, _unsigned, ctypes.POINTER(_handle))
_connection_fd = _function("guise_connection_fd", _handle)
_connection_level = _function("guise_connection_level", _handle)
_connection_peer = _function(
    "guise_connection_peer", _handle, ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_uint64))
_connection_close = _function("guise_connection_close", _handle)
_impersonate = _function("guise_impersonate", _handle)
_revert = _function("guise_revert")
_client_token = _function("guise_client_token", _handle, ctypes.POINTER(_handle))
_thread_token = _function("guise_thread_token", ctypes.POINTER(_handle))
_process_token = _function("guise_process_token", ctypes.POINTER(_handle))
_token_close = _function("guise_token_close", _handle)
_token_user = _function("guise_token_user", _handle, _text, _size)
_token_user_name = _function("guise_token_user_name", _handle, _text, _size)
_token_level = _function("guise_token_level", _handle)
_token_integrity = _function("guise_token_integrity", _handle, ctypes.POINTER(ctypes.c_uint32))
_token_session = _function("guise_token_session", _handle, ctypes.POINTER(ctypes.c_uint64))
_token_unix_user = _function("guise_token_unix_user", _handle, ctypes.POINTER(ctypes.c_uint32))
_token_group_count = _function("guise_token_group_count", _handle)
_token_group = _function("guise_token_group", _handle, _int, _text, _size, ctypes.POINTER(ctypes.c_uint32))
_token_privileges = _function(
    "guise_token_privileges", _handle, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint64))
_privilege_name = _function("guise_privilege_name", _int, _text, _size)
_access_check = _function(
    "guise_access_check", _handle, ctypes.c_char_p, _size, ctypes.c_uint32, ctypes.POINTER(_Mapping),
    ctypes.POINTER(ctypes.c_uint32))
_membership_check = _function("guise_membership_check", _handle, _text)
_descriptor_from_sddl = _function("guise_descriptor_from_sddl", _text, ctypes.c_char_p, _size)


def attach(runtime_directory=None, cooperative=False, threads=0):
    """Attaches this process to the authority. Once, before the first Client."""
    directory = None if runtime_directory is None else os.fsencode(runtime_directory)
    _attach(API_VERSION, directory, _COOPERATIVE if cooperative else 0, threads)


def connect(path, level=IMPERSONATION, dynamic=False, effective_only=False):
    """A socket connected to a service that may use the caller's identity no further than `level`."""
    flags = (_DYNAMIC if dynamic else 0) | (_EFFECTIVE_ONLY if effective_only else 0)
    connection = _handle()
    _connect(os.fsencode(path), level, flags, connection)
    try:
        return socket.socket(fileno=os.dup(_connection_fd(connection)))
    finally:
        _connection_close(connection)


# What the blocks that a thread is in act as, the innermost last.
_blocks = threading.local()

# Code objects whose frames are left in the middle, with whatever is in force on the thread.
_LEFT_IN_THE_MIDDLE = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _may_stand_in(frame):
    if frame.f_code.co_flags & _LEFT_IN_THE_MIDDLE:
        raise RuntimeError(
            "impersonate() in a coroutine or generator would stay in force over await and yield, for whatever runs"
            " on this thread then; use run(function, ...)")


class _Impersonation(contextlib.AbstractContextManager):
    """Acts as a client from `with` to the end of the block, then as whoever the block around it acts as."""

    def __init__(self, client):
        self._client = client

    def __enter__(self):
        _may_stand_in(sys._getframe(1))
        return self._enter()

    def _enter(self):
        _impersonate(self._client._connection)
        if not hasattr(_blocks, "clients"):
            _blocks.clients = []
        _blocks.clients.append(self._client)
        return self._client

    def __exit__(self, *error):
        _revert()
        _blocks.clients.pop()
        if _blocks.clients:
            # If that fails the thread is the service, and the block around it ends with this exception.
            _impersonate(_blocks.clients[-1]._connection)


class Client:
    """The client of an accepted Unix socket, captured once and for all. The socket stays whose it is."""

    def __init__(self, connection):
        """`connection`: a socket or a descriptor, open until this returns."""
        descriptor = connection if isinstance(connection, int) else connection.fileno()
        handle = _handle()
        _connection_open(descriptor, _BORROW, handle)
        self._connection = handle

    def impersonate(self):
        """For `with`: the block acts as the client, on this thread."""
        return _Impersonation(self)

    def run(self, function, /, *arguments, **named):
        """Calls a function as the client, on this thread. A coroutine function would run later, so it is refused."""
        code = getattr(inspect.unwrap(function), "__code__", None)
        if code is not None and code.co_flags & _LEFT_IN_THE_MIDDLE:
            raise RuntimeError("a coroutine or generator function runs after it returned: not as the client")
        block = _Impersonation(self)
        block._enter()
        try:
            return function(*arguments, **named)
        finally:
            block.__exit__()

    @property
    def level(self):
        """ANONYMOUS to DELEGATION: what the client allowed."""
        return _connection_level(self._connection)

    @property
    def process(self):
        """The process that connected, which may have ended since; None where it is not known."""
        process = ctypes.c_int32()
        _connection_peer(self._connection, process, None)
        return process.value or None

    def token(self):
        """The client's token."""
        handle = _handle()
        _client_token(self._connection, handle)
        return Token(handle)

    def close(self):
        """Gives the client up. Not needed: it is done when nothing refers to it any more."""
        connection, self._connection = self._connection, None
        if connection:
            _connection_close(connection)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __del__(self):
        if getattr(self, "_connection", None):
            with contextlib.suppress(OSError):
                self.close()


def revert():
    """Makes this thread the service again. The end of a `with` block does it by itself."""
    _revert()


def _read(function, *arguments):
    """A text, whatever its length."""
    room = ctypes.create_string_buffer(256)
    length = function(*arguments, room, len(room))
    if length >= len(room):
        room = ctypes.create_string_buffer(length + 1)
        function(*arguments, room, len(room))
    return room.value.decode()


def _value(kind, function, *arguments):
    value = kind()
    function(*arguments, value)
    return value.value


class Token:
    """A copy of a token, for inspection and decisions."""

    def __init__(self, handle):
        self._token = handle
        #: The user's SID.
        self.user = _read(_token_user, handle)
        #: ANONYMOUS to DELEGATION, or PRIMARY of a process's own.
        self.level = _token_level(handle)
        #: The number at the end of S-1-16-x.
        self.integrity = _value(ctypes.c_uint32, _token_integrity, handle)
        #: The number of the logon session.
        self.session = _value(ctypes.c_uint64, _token_session, handle)
        #: The user's name, or None.
        self.name = _or_none(_read, _token_user_name, handle)
        #: The Unix user whose rights hold outside managed roots, or None.
        self.unix_user = _or_none(_value, ctypes.c_uint32, _token_unix_user, handle)
        #: SIDs and their attributes.
        self.groups = [self._group(index) for index in range(_token_group_count(handle))]
        present, enabled = ctypes.c_uint64(), ctypes.c_uint64()
        _token_privileges(handle, present, enabled)
        #: The names of the privileges that are there, and of those that are enabled.
        self.privileges, self.enabled_privileges = _names(present.value), _names(enabled.value)

    def _group(self, index):
        attributes, room = ctypes.c_uint32(), ctypes.create_string_buffer(256)
        _token_group(self._token, index, room, len(room), attributes)
        return room.value.decode(), attributes.value

    def may(self, descriptor, desired, mapping=None):
        """What is granted of `desired` by a self-relative security descriptor (`descriptor()` makes one from SDDL).

        PermissionError when not all of it is. `mapping`: what read, write, execute and all stand for; those of files
        if it is None."""
        granted = ctypes.c_uint32()
        kind = None if mapping is None else _Mapping(*mapping)
        _access_check(self._token, descriptor, len(descriptor), desired, kind, granted)
        return granted.value

    def is_member(self, sid):
        """Whether a SID is the user or a group that counts."""
        try:
            _membership_check(self._token, sid.encode())
        except PermissionError:
            return False
        return True

    def __del__(self):
        with contextlib.suppress(OSError):
            _token_close(self._token)


def _or_none(read, *arguments):
    try:
        return read(*arguments)
    except FileNotFoundError:
        return None


def _names(privileges):
    return [_read(_privilege_name, number) for number in range(64) if privileges >> number & 1]


def thread_token():
    """The token that decides for this thread: the client's while it impersonates, else the process's."""
    handle = _handle()
    _thread_token(handle)
    return Token(handle)


def process_token():
    """The process's own token."""
    handle = _handle()
    _process_token(handle)
    return Token(handle)


def descriptor(sddl):
    """A self-relative security descriptor, as bytes, from SDDL."""
    room = ctypes.create_string_buffer(_descriptor_from_sddl(sddl.encode(), None, 0))
    _descriptor_from_sddl(sddl.encode(), room, len(room))
    return room.raw
