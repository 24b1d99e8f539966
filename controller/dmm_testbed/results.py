"""What one run of the scenario measured: the model of ``results.json``, read and written here.

The file is the only thing the report page, the tests and other programs need of a run. Its shape
is versioned by ``schema`` and described field by field in ``docs/results.md``. Within a version
fields may be added, never removed or given another meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

if TYPE_CHECKING:
    from pathlib import Path

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[FiniteFloat, Field(ge=0)]
Ratio = Annotated[FiniteFloat, Field(ge=1)]
"""A stretch; below 1 it would be a measuring error, so the model refuses it."""

Hosts = tuple[str, ...]

MachineKind = Literal["namespace", "vagrant", "metal"]
"""Made of namespaces, made by Vagrant, or there already."""


class ResultsError(Exception):
    """A results file that cannot be used; its text is one line a field, ready for the user."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Segment(_Record):
    """One tunnel on a path: packets were encapsulated at `start` and decapsulated at `end`."""

    start: str
    end: str


class ObservedPath(_Record):
    """A path that probes took, and how many of them."""

    hosts: Hosts
    """Machines in order, the sender first; the last one is where the probe was last seen."""
    delivered: bool
    """Whether the probes reached their destination this way."""
    loop: bool = False
    """Whether a probe crossed the same link in the same direction more than once."""
    probes: Count
    first_ms: FiniteFloat
    """When the first probe of this path was sent, since the run began."""
    last_ms: FiniteFloat
    """When the last one was sent."""
    tunnels: tuple[Segment, ...] = ()
    rewritten: tuple[Segment, ...] = ()
    """Where its addresses were not those that it was sent with."""
    stretch: Ratio | None = None
    """Links traversed over the fewest possible; null when the probe did not arrive."""


class DirectionPath(_Record):
    """The path in one direction before, during and after a move; empty where nothing arrived."""

    before: Hosts = ()
    during: Hosts = ()
    """The transitional path that carried most probes; the path `after` when there was none."""
    after: Hosts = ()
    settled: bool = True
    """Whether the path had stopped changing when the step ended."""
    observed: tuple[ObservedPath, ...] = ()
    """Every distinct path of the step, lost probes included, in order of appearance."""


class Paths(_Record):
    """Forward: from the correspondent to the mobile node. Reverse: from the mobile node."""

    forward: DirectionPath = DirectionPath()
    reverse: DirectionPath = DirectionPath()


class Stretch(_Record):
    """Links traversed over the fewest possible; null where no probe arrived."""

    before: Ratio | None = None
    during: Ratio | None = None
    after: Ratio | None = None


class Stretches(Stretch):
    """The larger of the two directions, and each of them."""

    forward: Stretch = Stretch()
    reverse: Stretch = Stretch()


class TcpDirection(_Record):
    """What one end of the TCP session received."""

    bytes: Count
    intact: bool
    longest_gap_ms: Milliseconds


class Tcp(TcpDirection):
    """The TCP session: bytes of both directions, intact if both are, the longer of the gaps."""

    survived: bool = True
    """Whether the session was still open when the step ended."""
    forward: TcpDirection | None = None
    reverse: TcpDirection | None = None


class UdpDirection(_Record):
    """A constant-rate UDP stream in one direction."""

    sent: Count
    """Packets due in the step, those the sender's kernel refused for lack of a route included."""
    lost: Count
    longest_gap_ms: Milliseconds
    duplicated: Count = 0
    reordered: Count = 0
    refused: Count = 0
    longest_pause_ms: Milliseconds = 0.0
    """Longest time between two packets at the sender: gaps up to this are not the network's."""


class Udp(UdpDirection):
    """The UDP stream: sums of both directions, the longer of the gaps."""

    forward: UdpDirection | None = None
    reverse: UdpDirection | None = None


class Volume(_Record):
    """Messages and their bytes, counted from the IPv6 header to the end of the Mobility Header."""

    messages: Count = 0
    bytes: Count = 0


class HostMessages(_Record):
    """Signalling as one machine saw it."""

    sent: Count = 0
    received: Count = 0


class Signalling(Volume):
    """Mobility Header messages that left their sender, each counted once."""

    by_type: dict[str, Volume] = {}
    by_host: dict[str, HostMessages] = {}

    @model_validator(mode="after")
    def _types_add_up(self) -> Self:
        messages = sum(entry.messages for entry in self.by_type.values())
        octets = sum(entry.bytes for entry in self.by_type.values())
        if (messages, octets) != (self.messages, self.bytes):
            raise ValueError(
                f"by_type adds up to {messages} messages and {octets} bytes, "
                f"the totals say {self.messages} and {self.bytes}"
            )
        return self


class HostState(_Record):
    """Entries on one host: location manager, mobility routing cache, allocator."""

    bindings: Count = 0
    cache: Count = 0
    leases: Count = 0


State = dict[str, HostState]


class StatePhases(_Record):
    """State of the hosts before, during and after a move."""

    before: State = {}
    during: State = {}
    after: State = {}


class Move(_Record):
    """A mobile node's change of access router, and how long its consequences took.

    Times are milliseconds after `at_ms`; null where the event was not seen.
    """

    mobile_node: str
    from_router: str | None
    to_router: str | None
    """Null when the node vanishes."""
    at_ms: FiniteFloat
    """When the move began, since the run began."""
    advertisement_ms: FiniteFloat | None = None
    """Until the first router advertisement reached the node."""
    forward_ms: FiniteFloat | None = None
    """Until the first probe reached the node."""
    reverse_ms: FiniteFloat | None = None
    """Until the first probe of the node reached its correspondent."""
    direct_ms: FiniteFloat | None = None
    """Until the last direction was on the path where it stayed."""


class Step(_Record):
    """One step of the scenario and everything measured in it."""

    name: str
    title: str = ""
    session: str = ""
    """Of several that were measured at once, which one this is about; `name` ends with it."""
    at_ms: FiniteFloat
    """When the step began, since the run began."""
    duration_ms: Milliseconds = 0.0
    mobile_node: str = ""
    correspondent: str = ""
    moves: tuple[Move, ...] = ()
    path: Paths = Paths()
    stretch: Stretches = Stretches()
    tcp: Tcp | None = None
    udp: Udp | None = None
    signalling: Signalling = Signalling()
    state: State = {}
    """Entries when the step ended."""
    state_phases: StatePhases | None = None
    failures: tuple[str, ...] = ()
    """What was expected of this step and did not happen."""


class Node(_Record):
    """A machine, as the page draws it."""

    name: str
    network: str
    role: str


class Link(_Record):
    """A link between two machines; `access` links are those a mobile node may use."""

    ends: tuple[str, str]
    access: bool = False


class Layout(_Record):
    """The topology the run was made on."""

    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()


class ChartMessage(_Record):
    """One message of the sequence chart, taken from the capture."""

    at_ms: FiniteFloat
    sender: str
    receiver: str
    label: str
    """Short name, such as PBU."""
    detail: str = ""
    """What it says, such as its sequence number, lifetime and prefix."""
    bytes: Count = 0
    signalling: bool = True
    """False for router solicitations and advertisements, which are shown but not counted."""


class GapPoint(_Record):
    """The longest silence that ended in one bin of the gap plot."""

    at_ms: FiniteFloat
    gap_ms: Milliseconds


class GapPlot(_Record):
    """Silence between received probes over the run, one point a bin."""

    mobile_node: str
    correspondent: str
    bin_ms: Milliseconds
    forward: tuple[GapPoint, ...] = ()
    reverse: tuple[GapPoint, ...] = ()


class Results(_Record):
    """One run of the scenario."""

    schema_version: Literal[1] = Field(1, alias="schema")
    profile: str
    topology: str
    machines: MachineKind
    started_at: AwareDatetime | None = None
    layout: Layout = Layout()
    steps: tuple[Step, ...] = ()
    messages: tuple[ChartMessage, ...] = ()
    gaps: tuple[GapPlot, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know of this run, such as impairments the kernel could not make."""
    verdict: Literal["pass", "fail"]
    """Pass if, and only if, there are no failures; computed when absent."""
    failures: tuple[str, ...] = ()

    @property
    def played(self) -> tuple[Step, ...]:
        """One step of each time: of those that measured several sessions at once, the last."""
        return tuple({step.at_ms: step for step in self.steps}.values())

    @model_validator(mode="before")
    @classmethod
    def _fill_verdict(cls, data: Any) -> Any:
        if isinstance(data, dict) and "verdict" not in data:
            return {**data, "verdict": "fail" if data.get("failures") else "pass"}
        return data

    @model_validator(mode="after")
    def _verdict_follows_failures(self) -> Self:
        if (self.verdict == "fail") != bool(self.failures):
            raise ValueError(
                f"verdict is {self.verdict!r} with {len(self.failures)} failures; "
                "it is 'pass' if, and only if, there are none"
            )
        return self


def gather_failures(results: Results) -> Results:
    """The same results, with the failures of its steps among its own, and the verdict to match."""
    named = [f"{step.name}: {text}" for step in results.steps for text in step.failures]
    failures = dict.fromkeys((*results.failures, *named))
    changed = {**dict(results), "failures": tuple(failures)}
    del changed["verdict"]
    return Results.model_validate(changed)


def to_json(results: Results) -> str:
    """The text of ``results.json``, indented, ending in a newline."""
    return results.model_dump_json(by_alias=True, indent=1) + "\n"


def write(results: Results, path: Path) -> None:
    """Write ``results.json``, its folder included, so that a reader never sees half a file.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(to_json(results), encoding="utf-8")
    unfinished.replace(path)


def read(path: Path) -> Results:
    """Read ``results.json``.

    Raises:
        ResultsError: the file cannot be read, or is not of this schema; says which field.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: {error}") from error
    try:
        return Results.model_validate_json(text)
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, problem['loc'])) or '(top)'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise ResultsError("\n".join(lines)) from error
