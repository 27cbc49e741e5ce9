"""How wide a network can be in the time given, and in which format it is fastest."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ulens.planning.parts import TensorFormat
from ulens.planning.plan import Plan

FEWEST_STEPS = 10000
CLEARLY_FASTER = 1.05


def widest(
    plans: Sequence[Plan],
    seconds: float,
    measure: Callable[[Plan], float],
    formats: Sequence[TensorFormat],
) -> Plan:
    """Return the widest of plans that makes enough steps, with its speed; else the first.

    Parameters
    ----------
    plans : from narrow to wide
    seconds : of training
    measure : returns the steps per second of a plan on this machine
    formats : the fastest of them for the first plan is taken, the first if none clearly is
    """
    rates = {each: measure(replace(plans[0], tensors=each)) for each in formats}
    fastest = max(formats, key=lambda each: rates[each])
    if rates[fastest] < CLEARLY_FASTER * rates[formats[0]]:
        fastest = formats[0]  # timings are noisy
    chosen, rate = plans[0], rates[fastest]
    for plan in plans[1:]:
        # a wider one is no faster
        if rate * seconds < FEWEST_STEPS:
            break
        wider_rate = measure(replace(plan, tensors=fastest))
        if wider_rate * seconds < FEWEST_STEPS:
            break
        chosen, rate = plan, wider_rate
    why = f"{rate:.2f} steps per second on this computer, about {rate * seconds:.0f} in all"
    if len(plans) > 1:
        is_enough = rate * seconds >= FEWEST_STEPS
        best = "the widest that" if is_enough else "the narrowest, since none"
        why = f"{best} makes {FEWEST_STEPS} steps: {why}"
    reasons = {**chosen.reasons, "width": why}
    if len(formats) > 1:
        others = ", ".join(f"{rates[each]:.2f}" for each in formats if each != fastest)
        reasons["memory_format"] = (
            f"{rates[fastest]:.2f} steps per second on this computer, otherwise {others}, at width "
            f"{plans[0].network.width}"
        )
    return replace(chosen, tensors=fastest, steps_per_second=rate, reasons=reasons)
