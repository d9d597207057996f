"""Whether stored posteriors can be had at another temperature than the one they were written with.

For one teacher and for a geometric mean, ``q_T'`` is ``q_T`` to the power ``T / T'``, normalised: exact but
for the code's quantisation, whose factor is raised to the same power. The arithmetic mean of several
teachers' posteriors at T does not determine that at T'. Stored apart they do: each is brought to T' before
the mean is taken.
"""

from __future__ import annotations

from asr_kd.distill.stored import StoredPosteriors
from asr_kd.errors import ShardError


def retempering_power(
    stored: StoredPosteriors, temperature: float, where: str = "", apart: bool = False
) -> float:
    """Return the power that takes the stored posteriors to a temperature, 1 for the stored one.

    Args:
        stored: What there is.
        temperature: That the student is to be trained with.
        where: The shard set or the setting, for the message.
        apart: Whether stored teachers are averaged at that temperature, in place of their stored mean.

    Raises:
        ShardError: With the reason, when averaging or code do not allow it.
    """
    power = stored.temperature / temperature
    if power == 1:
        return power
    reason = stored.code_refusal(power)
    if stored.averaging != "geometric" and stored.num_averaged > 1 and not apart:
        mean = f"the {stored.averaging} mean of {stored.num_averaged} teachers"
        reason = f"{mean} tells nothing of other temperatures"
    if reason is not None:
        raise ShardError(
            f"temperature cannot be changed after writing: {reason}",
            where=where or None,
            expected=stored.temperature,
            got=temperature,
            hint="train at the stored temperature, or run the ensemble stage again",
        )
    return power
