"""What a part of the proof has counted."""

from dataclasses import dataclass, field


@dataclass
class Counts:
    """Of due times. ``lost``: neither fired nor recorded as missed. ``doubled``: fires beyond the first."""

    slots: int = 0
    fired: int = 0
    recorded_missed: int = 0
    lost: int = 0
    doubled: int = 0
    findings: list[str] = field(default_factory=list)
    """A sentence for each that is lost or doubled."""

    def add(self, other: "Counts") -> None:
        self.slots += other.slots
        self.fired += other.fired
        self.recorded_missed += other.recorded_missed
        self.lost += other.lost
        self.doubled += other.doubled
        self.findings += other.findings

    @property
    def is_good(self) -> bool:
        return not self.lost and not self.doubled
