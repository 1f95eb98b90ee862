"""rst: Random Sparse Network Transformation, the dual lottery ticket."""

from dlth_tf import callbacks
from dlth_tf.methods.actions import draw_ticket, remove
from dlth_tf.methods.phase import LearningRate, Method, Phase, Recipe
from dlth_tf.methods.training import finetune


def phases(recipe: Recipe) -> list[Phase]:
    """Draw a random ticket; transform: train all weights under a growing penalty on those outside it; remove them; finetune."""
    return [
        Phase(
            "transform",
            recipe.staircase.steps,
            recipe.transform_batch_size,
            LearningRate((recipe.transform_lr,)),
            # The runner ends phases exactly and `remove` notes the accuracy before and after, so neither is the callback's here.
            lambda: [callbacks.RSTPenalty(**recipe.penalty, remove_at_end=False, shorten_last_execution=True)],
            start=(draw_ticket,),
            end=(remove,),
        ),
        finetune(recipe),
    ]


METHOD = Method(
    "rst", "Bai et al., Dual Lottery Ticket Hypothesis, ICLR 2022, arXiv:2203.04248", phases, takes_weights=True
)
