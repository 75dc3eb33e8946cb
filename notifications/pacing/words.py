"""Why a delivery waits, as its task says it: the beginnings by which those that wait for one gate are found, too."""


def limited(gate: str) -> str:
    return f"The limit of {gate} is "


def down(gate: str) -> str:
    return f"{gate} is down: "
