"""rst_iter: RST in n cycles, each with a sparser ticket inside the one before."""

from dlth_tf.methods.actions import draw_ticket_of_cycle, remove_squeezed
from dlth_tf.methods.phase import Method, Phase, Recipe
from dlth_tf.methods.training import finetune, round_of_training, transform


def phases(recipe: Recipe) -> list[Phase]:
    """In cycle c of n draws a ticket of sparsity 1 - (1 - p)^(c/n) inside the last and transforms; finetunes at last.

    Between cycles the weights outside the ticket are removed (delete_between_cycles), or only squeezed further in the
    next cycle, as published. With finetune_between_cycles every cycle but the last is followed by a short finetune, for
    which they are removed; without deletion they may grow again in the next cycle.
    """
    layout = []
    for cycle in range(1, recipe.cycles + 1):
        last = cycle == recipe.cycles
        removing = last or recipe.delete_between_cycles or recipe.finetune_between_cycles
        end = (remove_squeezed,) if removing else ()
        layout.append(transform(recipe, f"transform_{cycle}", start=(draw_ticket_of_cycle(cycle),), end=end))
        if recipe.finetune_between_cycles and not last:
            layout.append(round_of_training(recipe, f"finetune_{cycle}"))
    return [*layout, finetune(recipe)]


METHOD = Method(
    "rst_iter",
    "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248 (RST-Iter)",
    phases,
    takes_weights=True,
)
