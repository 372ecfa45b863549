"""Of a processor of texts and pictures what reads texts: its other parts need torchvision, and no prompt needs them."""

from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin


class TextProcessor(ProcessorMixin):
    """A tokenizer where a pipeline wants a processor.

    Args:
        tokenizer: of texts.
        chat_template: of the processor, which may differ from the tokenizer's.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, chat_template: Any = None) -> None:
        super().__init__(tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]

    def apply_chat_template(self, *args: Any, **kwargs: Any) -> Any:
        """As in the parent; tokens of one conversation are a list of one, as processors of pictures have it."""
        found = super().apply_chat_template(*args, **kwargs)
        alone = bool(found) and isinstance(found, list) and isinstance(found[0], int)
        return [found] if alone else found
