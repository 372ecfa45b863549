"""What is asked: two questions, the answers that each takes, and which answers a check accepts.

A card shows two pictures as A and B. `first` and `second` are what a match is made of (before and after, for one run);
`swapped` says that the second is shown as A.
"""

APPEAL, FAITHFULNESS = "appeal", "faithfulness"
CHOICES = {APPEAL: ("a", "b", "tie"), FAITHFULNESS: ("a", "b", "both", "neither")}

# Kinds of cards. Only a "match" counts as a vote.
MATCH = "match"
REPEAT = "repeat"  # a match that the rater has answered, with its sides swapped
IDENTICAL = "identical"  # one picture twice
DEGRADED = "degraded"  # a picture against a spoiled copy of itself
FOREIGN = "foreign"  # a picture against one of another prompt
CHECKS = {APPEAL: (DEGRADED, IDENTICAL), FAITHFULNESS: (FOREIGN, IDENTICAL)}
TRAINING = "training-"  # in front of a check's kind: for practice at the start, with feedback


def kind_of_check(kind: str) -> str:
    """`training-degraded` -> `degraded`."""
    return kind.removeprefix(TRAINING)


def accepted(question: str, kind: str, *, swapped: bool) -> set[str]:
    """The answers that a check takes as right.

    A tuned model may fail to draw its prompt, so "neither" is never wrong where one of two prompts is foreign.
    """
    first = "b" if swapped else "a"
    match kind_of_check(kind):
        case "identical":
            return {"tie"} if question == APPEAL else {"both", "neither"}
        case "degraded":
            return {first}
        case "foreign":
            return {first, "neither"}
    raise AssertionError(f"{kind} is no check")


def outcome(choice: str, *, swapped: bool) -> str:
    """An answer about A and B -> "first", "second", or what kind of tie it was."""
    match choice:
        case "a":
            return "second" if swapped else "first"
        case "b":
            return "first" if swapped else "second"
    return choice
