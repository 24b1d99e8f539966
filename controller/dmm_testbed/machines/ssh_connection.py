"""One kept SSH connection to a machine, made when it is needed and again if it died."""

from __future__ import annotations

import getpass
import logging
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from dmm_testbed.machines.errors import MachineError

if TYPE_CHECKING:
    from dmm_testbed.machines.ssh_record import SshRecord

CONNECT_WITHIN_S = 20.0
ANSWER_WITHIN_S = 60.0
"""For each answer of a machine that did accept the connection: emulated ones are slow."""
KEEPALIVE_S = 10
UNANSWERED_MS = 30_000
"""When data that the machine does not acknowledge ends the connection: it was switched off."""
KNOWN_HOSTS = "~/.ssh/known_hosts"
KNOWN_HOSTS_OF_ALL = "/etc/ssh/ssh_known_hosts"

# Without a handler its errors go to the terminal; what goes wrong is raised and told anyway.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _AnyKey(paramiko.MissingHostKeyPolicy):
    """`StrictHostKeyChecking no`: no key is looked at, and none is kept."""

    def missing_host_key(self, *_: Any) -> None:
        pass


class Connection:
    """The connection to one machine; any number of threads may use it."""

    def __init__(self, record: SshRecord, name: str) -> None:
        """Describe it; nothing is connected yet."""
        self.name = name
        self._record = record
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self.user = ""
        """Who we are over there, once connected."""

    def session(self, within_s: float = ANSWER_WITHIN_S) -> paramiko.Channel:
        """A channel in which one program can run.

        A connection that turns out to be dead, because the machine was killed and came back, is
        made anew once.

        Args:
            within_s: how long a connection that was made before may take to answer.

        Raises:
            MachineError: the machine does not answer, or does not let us in; says what to do.
        """
        while True:
            transport, fresh = self._transport()
            try:
                return transport.open_session(timeout=ANSWER_WITHIN_S if fresh else within_s)
            except paramiko.ChannelException as error:
                raise self._refused(f"refuses another session: {error.text}") from None
            except (paramiko.SSHException, EOFError, OSError) as error:
                transport.close()
                if fresh:
                    raise self._refused(f"does not answer: {_told(error)}") from None

    def close(self) -> None:
        """End the connection, and with it all programs that were started over it."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def settings(self) -> dict[str, Any]:
        """How the machine is reached, by `ssh_config`; names as there, in lower case.

        Raises:
            MachineError: the machine is not in there, or the file is not there.
        """
        file = self._record.ssh_config
        try:
            config = paramiko.SSHConfig.from_path(str(file))
            known = self.name in config.get_hostnames()
        except (OSError, paramiko.ConfigParseError) as error:
            raise MachineError(f"{file}: {error}: run {self._record.make}") from None
        if not known:
            raise MachineError(
                f"machine {self.name} is not part of lab {self._record.lab}: expected one of "
                f"{', '.join(sorted(config.get_hostnames() - {'*'}))} ({file})"
            )
        return {"user": getpass.getuser(), **config.lookup(self.name)}

    def _transport(self) -> tuple[paramiko.Transport, bool]:
        """The connection as it is, and whether it has just been made."""
        with self._lock:
            transport = self._client.get_transport() if self._client is not None else None
            if transport is not None and transport.is_active():
                return transport, False
            self._client = self._connect()
            transport = self._client.get_transport()
            assert transport is not None
            return transport, True

    def _connect(self) -> paramiko.SSHClient:
        settings = self.settings()
        self.user = settings["user"]
        keys: Any = [key for key in settings.get("identityfile", []) if Path(key).exists()]
        client = paramiko.SSHClient()
        _expect_keys(client, settings)
        try:
            client.connect(
                settings["hostname"],
                port=int(settings.get("port", 22)),
                username=settings["user"],
                key_filename=keys,
                look_for_keys="identityfile" not in settings,
                allow_agent=settings.get("identitiesonly", "no") != "yes",
                sock=_proxy(settings),
                timeout=CONNECT_WITHIN_S,
                banner_timeout=ANSWER_WITHIN_S,
                auth_timeout=ANSWER_WITHIN_S,
            )
        except paramiko.BadHostKeyException as error:
            client.close()
            raise self._refused(f"is not who it was, by its host key: {error}") from None
        except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
            client.close()
            raise self._refused(f"cannot be reached: {_told(error)}") from None
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE_S)
        if isinstance(transport.sock, socket.socket) and transport.sock.family != socket.AF_UNIX:
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
        return client

    def _refused(self, what: str) -> MachineError:
        file = self._record.ssh_config
        return MachineError(
            f"machine {self.name} of lab {self._record.lab} {what}; try `ssh -F {file} "
            f"{self.name}`, or {self._record.make}"
        )


def _expect_keys(client: paramiko.SSHClient, settings: dict[str, Any]) -> None:
    """Check host keys as the file says; without a word, a key has to be known."""
    checking = settings.get("stricthostkeychecking", "ask").lower()
    if checking in ("no", "off"):
        client.set_missing_host_key_policy(_AnyKey())
        return
    own = settings.get("userknownhostsfile", KNOWN_HOSTS).split()
    everybodys = settings.get("globalknownhostsfile", KNOWN_HOSTS_OF_ALL).split()
    known = paramiko.HostKeys()
    for file in (*own, *everybodys):
        with suppress(OSError):
            known.load(str(Path(file).expanduser()))
    host, port = settings["hostname"], int(settings.get("port", 22))
    name = host if port == 22 else f"[{host}]:{port}"
    if checking == "accept-new":
        with suppress(OSError):
            kept = Path(own[0]).expanduser()
            kept.touch(mode=0o600)
            client.load_host_keys(str(kept))  # and a new one is added to it
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    else:
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
    for kind, key in (known.lookup(settings.get("hostkeyalias", name)) or {}).items():
        client.get_host_keys().add(name, kind, key)


def _proxy(settings: dict[str, Any]) -> socket.socket | None:
    """The way through a program, if there is one to go.

    Not `paramiko.ProxyCommand`, which notices that the program has ended when it next writes to it.
    """
    command = settings.get("proxycommand")
    if not command:
        return None
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it: it ends when our end is closed
        )
    return ours


def _told(error: Exception) -> str:
    """An error's words; some of paramiko's have none, and some have a number that is none."""
    own = error.strerror if isinstance(error, OSError) else None
    return own or str(error) or type(error).__name__
