"""What made a label image: its file tells, so that it can be made again, or told from another."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeBy:
    """What made a label image.

    Parameters
    ----------
    version : of ulens
    model : name of the model's folder
    weights : the first digits of the sha256 of its weights
    classes : the name of each label value; empty where values are numbers of objects
    """

    version: str
    model: str
    weights: str
    classes: dict[int, str] = field(default_factory=dict)

    def entries(self) -> dict[str, str]:
        """Return it as keys and values.

        Examples
        --------
        >>> MadeBy(version="1.0", model="a", weights="0f", classes={0: "background"}).entries()
        {'ulens': '1.0', 'model': 'a', 'weights': '0f', 'class 0': 'background'}
        """
        classes = {f"class {value}": name for value, name in self.classes.items()}
        return {"ulens": self.version, "model": self.model, "weights": self.weights, **classes}
