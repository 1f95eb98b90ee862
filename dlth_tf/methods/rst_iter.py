"""rst_iter: RST in n cycles, each with a sparser ticket inside the one before."""

from dlth_tf import callbacks
from dlth_tf.methods.actions import draw_ticket_of_cycle, remove
from dlth_tf.methods.phase import LearningRate, Method, Phase, Recipe
from dlth_tf.methods.training import finetune, round_of_training


def phases(recipe: Recipe) -> list[Phase]:
    """In cycle c of n draw a ticket of sparsity 1 - (1 - p)^(c/n) inside the last one and transform; finetune at the end.

    Between cycles the weights outside the ticket are removed (delete_between_cycles), or only squeezed further in the next
    cycle, as published. With finetune_between_cycles every cycle but the last is followed by a short finetune, for which
    they are removed; without deletion they may grow again in the next cycle.
    """
    found = []
    for cycle in range(1, recipe.cycles + 1):
        last = cycle == recipe.cycles
        removing = last or recipe.delete_between_cycles or recipe.finetune_between_cycles
        found.append(
            Phase(
                f"transform_{cycle}",
                recipe.staircase.steps,
                recipe.transform_batch_size,
                LearningRate((recipe.transform_lr,)),
                lambda: [callbacks.RSTPenalty(**recipe.penalty, remove_at_end=False, shorten_last_execution=True)],
                start=(draw_ticket_of_cycle(cycle),),
                end=(remove,) if removing else (),
            )
        )
        if recipe.finetune_between_cycles and not last:
            found.append(round_of_training(recipe, f"finetune_{cycle}"))
    return [*found, finetune(recipe)]


METHOD = Method(
    "rst_iter",
    "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248 (RST-Iter)",
    phases,
    takes_weights=True,
)
