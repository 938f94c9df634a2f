"""What a study declares: the paper, its claims, the arms, the profiles, the deviations.

Every object is frozen and refuses keys it does not know, so that a typo in a ``study.toml`` is an
error and never a silently ignored setting.
"""

from qlmbench.spec.arms import Arm, ArmKind, matches
from qlmbench.spec.base import MOST_REPETITIONS, OverwritePolicy, Scalar, Spec, Value
from qlmbench.spec.metrics import SECONDS_PER_EPOCH, Task, metrics_of
from qlmbench.spec.paper import Claim, Deviation, Direction, Paper, Quoted
from qlmbench.spec.setting import MAIN, EncoderTuning, Profile, Protocol, Setting
from qlmbench.spec.split import Selection, Split
from qlmbench.spec.study import Study

__all__ = [
    "MAIN",
    "MOST_REPETITIONS",
    "SECONDS_PER_EPOCH",
    "Arm",
    "ArmKind",
    "Claim",
    "Deviation",
    "Direction",
    "EncoderTuning",
    "OverwritePolicy",
    "Paper",
    "Profile",
    "Protocol",
    "Quoted",
    "Scalar",
    "Selection",
    "Setting",
    "Spec",
    "Split",
    "Study",
    "Task",
    "Value",
    "matches",
    "metrics_of",
]
