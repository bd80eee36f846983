"""How unreliable a biological connection is, as an input with a stated mapping, not as a result."""

from dataclasses import dataclass


def connection_failure(release_probability: float, n_sites: int = 1) -> float:
    """Return the probability (1 - P_r)^n that none of a connection's release sites releases.

    Sites are taken to release independently. By which mapping the paper placed biological neurons is not known; with
    this one and `RELEASE_EXAMPLES` connections lie above the threshold of the median code and mostly above that of
    the grid code. Below they can only be if several connections, or several vesicles a site, are pooled: then
    `n_sites` is of all of them.

    Args:
        release_probability: P_r of one site at one spike.
        n_sites: Release sites, n.

    Raises:
        ValueError: If the probability is none, or there is no site.

    Source:
        fault_tolerant.md section 4.3.
    """
    if not 0 <= release_probability <= 1:
        raise ValueError(f"The release probability is {release_probability}; give one from 0 to 1.")
    if n_sites < 1:
        raise ValueError(f"A connection has {n_sites} release sites; give at least 1.")
    return (1 - release_probability) ** n_sites


@dataclass(frozen=True)
class ReleaseExample:
    """A documented connection.

    Args:
        release_probabilities: Lowest and highest P_r.
        n_sites: Release sites.
    """

    release_probabilities: tuple[float, float]
    n_sites: int

    @property
    def failures(self) -> tuple[float, float]:
        """Lowest and highest failure probability."""
        low, high = self.release_probabilities
        return connection_failure(high, self.n_sites), connection_failure(low, self.n_sites)


RELEASE_EXAMPLES = (
    ReleaseExample((0.7, 0.7), 1),
    ReleaseExample((0.25, 0.4), 4),
    ReleaseExample((0.1, 0.1), 10),
)
"""BioNumbers 111652, which quotes Harris, Jolivet & Attwell 2012."""
