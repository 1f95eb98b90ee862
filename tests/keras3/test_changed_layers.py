"""Layers of Keras 3 that change after pruning: with LoRA, quantized, or built anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import dlth_tf as dlth
from dlth_tf import BadInput, masking
from dlth_tf.callbacks import KeepMask, RandomMask
from tests.keras3.networks import L, compiled, data, fit, mlp, removed

SPARSE = {"fc1/kernel": 0.75, "fc2/kernel": 0.75}


def pruned(model: keras.Model) -> keras.Model:
    dlth.apply_ticket(model, dlth.random_ticket(model, 0.75, 3, dense_layers="last"), remove=True)
    return model


def words() -> keras.Model:
    layers = [L.Embedding(20, 8, name="words"), L.GlobalAveragePooling1D(), L.Dense(3, name="out")]
    return keras.Sequential([keras.Input((6,), dtype="int32"), *layers])


def images() -> keras.Model:
    layers = [L.Conv2D(4, 3, name="conv"), L.GlobalAveragePooling2D(), L.Dense(3, name="out")]
    return keras.Sequential([keras.Input((6, 6, 2)), *layers])


def projected() -> keras.Model:
    layers = [L.EinsumDense("ab,bc->ac", 8, name="project"), L.Dense(3, name="out")]
    return keras.Sequential([keras.Input((6,)), *layers])


LORA = {
    "dense": (mlp, "fc1", "fc1/kernel"),
    "embedding": (words, "words", "words/embeddings"),
    "convolution": (images, "conv", "conv/kernel"),
    "einsum": (projected, "project", "project/kernel"),
}


@pytest.mark.parametrize("kind", LORA)
def test_a_kernel_with_lora_is_judged_by_what_its_layer_computes_with(kind):
    build, name, weight = LORA[kind]
    model = pruned(build())
    layer = model.get_layer(name)
    layer.enable_lora(2)
    assert dlth.strip(model) is model, "the product is zero still"
    for variable in layer.trainable_variables:
        if "lora" in variable.name:
            variable.assign(np.ones(variable.shape))
    why = (
        rf"has removed weights in {weight} that are not zero in use \(.*\), since layer {name} adds LoRA to them: copy"
    )
    with pytest.raises(BadInput, match=why):
        dlth.strip(model)


def test_a_fit_that_would_add_to_removed_weights_is_refused_before_the_first_step():
    model = pruned(mlp())
    model.get_layer("fc1").enable_lora(2)
    before = model.get_weights()
    with pytest.raises(BadInput, match="has LoRA in layer fc1, which adds to the removed weights of fc1/kernel: copy"):
        fit(compiled(model), [KeepMask()], epochs=1)
    for value, present in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, present)
    assert masking.installed(model) is None


def test_lora_in_a_layer_that_is_whole_is_trained_beside_removed_weights():
    model = pruned(mlp())
    model.get_layer("out").enable_lora(2)
    fit(compiled(model), [KeepMask()], epochs=1)
    assert removed(dlth.strip(model)) == SPARSE


def test_the_way_out_of_lora_works():
    model = pruned(mlp())
    ticket = masking.chosen_ticket(model)
    model.get_layer("fc1").enable_lora(2)
    fit(compiled(model), epochs=1)
    with pytest.raises(BadInput, match="not zero in use"):
        dlth.strip(model)
    plain = mlp()
    for layer in plain.layers:
        layer.kernel.assign(model.get_layer(layer.name).kernel)
        layer.bias.assign(model.get_layer(layer.name).bias)
    dlth.apply_ticket(plain, ticket, remove=True)
    fit(compiled(plain), [KeepMask()], epochs=1)
    assert removed(dlth.strip(plain)) == SPARSE


def test_a_mask_that_a_packed_kernel_does_not_fit_is_refused_with_the_name_of_its_layer(tmp_path):
    model = pruned(mlp())
    model.quantize("int4")
    why = (
        r"^layer=fc1: has removed weights in its kernel, whose mask of shape \[6, 16\] does not fit any more, since "
        r"the kernel is packed int4 now: quantize a clone of the model \(keras.models.clone_model\)$"
    )
    for call in (dlth.strip, dlth.layer_table, masking.chosen_ticket, lambda model: fit(compiled(model), [KeepMask()])):
        with pytest.raises(BadInput, match=why):
            call(model)
    model.save(tmp_path / "quantized.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "quantized.keras").predict(data()[0], verbose=0),
        model.predict(data()[0], verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_way_out_of_a_quantized_model_works():
    model = pruned(mlp())
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.quantize("int4")
    assert clone.predict(data()[0], verbose=0).shape == (40, 3)
    assert removed(dlth.strip(model)) == SPARSE


def test_a_packed_kernel_is_not_pruned_and_the_table_says_why():
    model = mlp()
    model.quantize("int4")
    assert list(dlth.layer_table(model).why) == ["its kernel is packed int4"] * 3
    with pytest.raises(BadInput, match="has no layer that can be pruned"):
        dlth.wrap(model)
    half = mlp()
    half.get_layer("fc1").quantize("int4")
    fit(compiled(half), [RandomMask(0.75, remove=True)], epochs=1)
    assert removed(half) == {"fc2/kernel": 0.75}
    assert next(iter(dlth.layer_table(half).why)) == "its kernel is packed int4"


def test_a_kernel_of_whole_numbers_keeps_its_mask_and_its_zeros():
    model = pruned(mlp())
    model.quantize("int8")
    assert removed(dlth.strip(model)) == SPARSE


def test_a_weight_of_another_shape_needs_a_new_mask():
    model = pruned(mlp())
    model.pop()
    model.pop()
    model.add(L.Dense(5, name="fc2"))
    with pytest.raises(
        BadInput, match=r"layer=fc2: has removed weights .* of shape \[16, 12\] .* of shape \[16, 5\] now"
    ):
        dlth.strip(model)
    whole = dlth.wrap(mlp())
    whole.pop()
    whole.add(L.Dense(5, name="out"))
    assert masking.prunable_weights(whole)["out/kernel"].kept().shape == (12, 5), "the twin: no mask is lost"
