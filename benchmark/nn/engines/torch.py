"""The PyTorch engine: the same steps, one after the other, on the GPU if there is one."""

import keras
import numpy as np
import torch

from benchmark.nn.engines import common


def configure(precision: str, threads: int) -> None:
    """Threads and matrix precision."""
    torch.set_num_threads(threads)
    for module in (torch.backends.cuda.matmul, torch.backends.cudnn):
        module.allow_tf32 = precision != "float32"


def device() -> str:
    """`cpu`, or the name of the first GPU."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"


def compiled(model, function):
    """See `benchmark.nn.engines`."""

    def call(*arrays):
        with torch.no_grad():
            return keras.tree.map_structure(keras.ops.convert_to_numpy, function(*map(_tensor, arrays)))

    return call


def differentiated(model, variables, function):
    """See `benchmark.nn.engines`."""

    def call(point, *arrays):
        point = None if point is None else _tensor(point).requires_grad_()
        value = function(point, *map(_tensor, arrays))
        wanted = [*(variable.value for variable in variables), *([] if point is None else [point])]
        found = _gradients(value, wanted)
        return value.detach(), found[: len(variables)], None if point is None else found[-1]

    return call


def second_order(model, variables, function):
    """See `benchmark.nn.engines`."""

    def call(point, direction, *arrays):
        point = _tensor(point).requires_grad_()
        value = function(point, *map(_tensor, arrays))
        (gradient,) = torch.autograd.grad(value, [point], create_graph=True)
        wanted = [*(variable.value for variable in variables), point]
        *found, by_point = _gradients((gradient * _tensor(direction)).sum(), wanted)
        return found, by_point

    return call


def _gradients(value, wanted) -> list[torch.Tensor]:
    return list(torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True))


def stepped(model, optimizer, loss, offsets):
    """See `benchmark.nn.engines`."""
    optimizer, weights = common.prepared(model, optimizer), model.trainable_variables

    def step(*arrays):
        arrays = [_tensor(array) for array in arrays]
        value = common.with_own(loss(*arrays), model.losses)
        values = [weight.value for weight in weights]
        gradients = _gradients(value, values)
        if offsets is not None:
            with torch.no_grad():
                there = [a + b for a, b in zip(values, offsets(values, gradients), strict=True)]
            there = [one.requires_grad_() for one in there]
            with common.at(model, weights, there):
                again = common.with_own(loss(*arrays), model.losses)
            gradients = _gradients(again, there)
        with torch.no_grad():
            optimizer.apply(gradients, weights)
        return value.detach()

    return step


def _tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(keras.src.backend.torch.core.get_device())


class Engine:
    """Training and prediction of one network. See `benchmark.nn.engines`."""

    def __init__(self, model, optimizer, inputs=None, labels=None):
        self.steps = 1
        self.model = model
        self._network = common.network(model)
        self.optimizer = common.chosen(optimizer)
        self.optimizer.build(self._network.trainable_variables)
        self._device = keras.src.backend.torch.core.get_device()
        self._held = inputs
        if inputs is not None:
            self._inputs = torch.from_numpy(np.ascontiguousarray(common.on_device(inputs))).to(self._device)
            self._labels = torch.from_numpy(np.ascontiguousarray(labels)).to(self._device)

    def train(self, rows, width=None, draws=None):
        """Run steps on batches of row numbers, (steps, batch) int32; their losses (steps,)."""
        rows = torch.from_numpy(np.ascontiguousarray(rows)).long().to(self._device)
        draws = [None] * len(rows) if draws is None else torch.from_numpy(draws).to(self._device)
        return np.array([self._step(*taken, width) for taken in zip(rows, draws, strict=True)], np.float32)

    def _step(self, rows, draws, width) -> float:
        variables = self._network.trainable_variables
        self._network.zero_grad()
        inputs = common.batch_of(self._inputs[rows] if width is None else self._inputs[rows, :width], draws)
        logits = self._network(inputs, training=True)
        loss = common.with_own(common.cross_entropy(self._labels[rows], logits), self._network.losses)
        loss.backward()
        with torch.no_grad():
            self.optimizer.apply([variable.value.grad for variable in variables], variables)
        return loss.item()

    def losses(self, rows):
        """Return the cross-entropy of each of these training rows (n,) in evaluation mode, (n,) float32."""

        def step(rows, width):
            with torch.no_grad():
                rows = torch.from_numpy(rows).long().to(self._device)
                inputs = self._inputs[rows] if width is None else self._inputs[rows, :width]
                return common.losses_by_row(self._labels[rows], self._network(inputs, training=False)).cpu()

        return common.loss_batches(step, self._held, rows)

    def predict(self, inputs):
        """Return the most probable class of each image or text, (n,) int64."""

        def step(batch):
            with torch.no_grad():
                batch = torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
                return self._network(batch, training=False).argmax(-1).cpu().numpy()

        return common.predict_batches(step, inputs)

    def variables(self):
        """Every variable that training changes, in a fixed order."""
        return [*self.model.variables, *self.optimizer.variables]
