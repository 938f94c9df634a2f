"""A paper, and everything that its reproduction runs and judges."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from qlmbench.errors import unknown
from qlmbench.spec import checks
from qlmbench.spec.arms import Arm
from qlmbench.spec.base import NAME, Spec
from qlmbench.spec.cases import expand_cases
from qlmbench.spec.paper import Claim, Deviation, Paper, Quoted
from qlmbench.spec.setting import MAIN, Profile, Protocol, Setting, write_out


class Study(Spec):
    """A paper, and everything that its reproduction runs and judges."""

    name: str = Field(pattern=NAME)
    """Short name: the folder and the word on the command line."""
    version: int = Field(ge=1)
    """Raised when the meaning of a record changes; old records then no longer count."""
    summary: str
    """One sentence."""
    paper: Paper
    """The work that is reproduced."""
    claims: list[Claim] = Field(default_factory=list)
    """Published statements that records can support or refute."""
    arms: list[Arm] = Field(min_length=1)
    """The rows of the comparison."""
    settings: dict[str, Setting] = Field(default_factory=dict)
    """Protocols by name, for profiles to run."""
    profiles: dict[str, Profile]
    """Scales to run at, by name."""
    deviations: list[Deviation] = Field(default_factory=list)
    """Where the study departs from the paper."""
    reference: str = ""
    """The baseline that differences are taken to; default the best one on validation."""
    notebook: str = ""
    """File name of the notebook that tells the study's story, below ``notebooks/``."""
    quoted: list[Quoted] = Field(default_factory=list)
    """Published numbers that stand beside ours."""
    diagnostics: dict[str, str] = Field(default_factory=dict)
    """What models measure of themselves (``diagnostics(X)``), by name, with one line of meaning
    each; only these are shown, where records have them."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Family-wise error level over the study's claims."""

    @field_validator("arms", mode="before")
    @classmethod
    def _expand(cls, arms: object) -> object:
        return [e for a in arms for e in expand_cases(a)] if isinstance(arms, list) else arms

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        checks.must_differ([arm.name for arm in self.arms], "arms")
        checks.must_differ([claim.id for claim in self.claims], "claims")
        named = [
            *((c.arm, f"claim {c.id!r}: arm") for c in self.claims),
            *((c.versus, f"claim {c.id!r}: versus") for c in self.claims),
            (self.reference, "reference"),
            *((q.arm, f"quoted {q.method!r}: arm") for q in self.quoted),
            *((arm.of, f"arm {arm.name!r}: of") for arm in self.arms),
        ]
        for name, where in named:
            if name:
                checks.must_be_arm(name, self.arms, where)
        checks.must_be_diagnostics(self.diagnostics)
        return self

    @model_validator(mode="after")
    def _settings_are_known(self) -> Self:
        names = list(self.settings) or [MAIN]
        named = [
            *((c.setting, f"claim {c.id!r}") for c in self.claims),
            *((c.versus_setting, f"claim {c.id!r}") for c in self.claims),
            *((q.setting, f"quoted {q.method!r}") for q in self.quoted),
            *((s, f"profile {name!r}") for name, p in self.profiles.items() for s in p.settings),
        ]
        for setting, where in named:
            checks.must_be_setting(setting, names, where)
        for name in self.profiles:
            self.protocols(name)
        return self

    @model_validator(mode="after")
    def _options_have_an_effect(self) -> Self:
        for profile in self.profiles:
            for protocol in self.protocols(profile).values():
                checks.must_have_an_effect(protocol, self.arms)
        for claim in self.claims:
            for setting in filter(None, (self._setting_of(claim), claim.versus_setting)):
                declared = self.settings.get(setting, Setting())
                where = f"claim {claim.id!r}"
                checks.must_measure(claim.metric, declared, where, self.diagnostics)
        return self

    def _setting_of(self, claim: Claim) -> str:
        """Return the setting that decides a claim: its own, or the first of the first profile."""
        return claim.setting or next(iter(self.protocols(next(iter(self.profiles)))))

    def arm(self, name: str) -> Arm:
        """Return the arm of this name.

        Raises
        ------
        UserError
            If the study has no such arm.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise unknown("arm", name, [a.name for a in self.arms], f"study {self.name!r}")

    def profile(self, name: str) -> Profile:
        """Return the profile of this name.

        Raises
        ------
        UserError
            If the study has no such profile.
        """
        if name in self.profiles:
            return self.profiles[name]
        raise unknown("profile", name, list(self.profiles), f"study {self.name!r}")

    def protocols(self, profile: str) -> dict[str, Protocol]:
        """Return the settings that a profile runs, written out, in its order.

        Raises
        ------
        UserError
            If the study has no such profile.
        """
        chosen = self.profile(profile)
        return {
            name: write_out(profile, chosen, name, self.settings.get(name, Setting()))
            for name in chosen.settings or [MAIN]
        }

    def protocol(self, profile: str, setting: str) -> Protocol:
        """Return one setting of a profile, written out.

        Raises
        ------
        UserError
            If the study has no such profile, or the profile does not run this setting.
        """
        known = self.protocols(profile)
        if setting in known:
            return known[setting]
        where = f"profile {profile!r} of study {self.name!r}"
        raise unknown("setting", setting, list(known), where)
