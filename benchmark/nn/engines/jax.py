"""The JAX engine: the steps as one `jit`-compiled `scan` over batches of row numbers."""

import functools

import jax
import keras
import numpy as np

from benchmark.nn.engines import common


def configure(precision: str, threads: int) -> None:
    """Matrix precision; the threads were set in the environment before JAX was imported."""
    jax.config.update("jax_default_matmul_precision", "highest" if precision == "float32" else "default")


def device() -> str:
    """`cpu`, or the name of the first GPU."""
    first = jax.devices()[0]
    return "cpu" if first.platform == "cpu" else first.device_kind


def compiled(model, function):
    """See `benchmark.nn.engines`."""

    @jax.jit
    def call(values, *arrays):
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return function(*arrays)

    return lambda *arrays: call([variable.value for variable in model.variables], *arrays)


def differentiated(model, variables, function):
    """See `benchmark.nn.engines`."""
    return _with_values(model, variables, lambda at, *given: _value_and_gradients(at(function), *given))


def _value_and_gradients(function, values, point, *arrays):
    value, gradients = jax.value_and_grad(function, argnums=(0, 1))(values, point, *arrays)
    return value, *gradients


def second_order(model, variables, function):
    """See `benchmark.nn.engines`."""

    def gradients(at, values, point, direction, *arrays):
        def along(values, point):
            return (jax.grad(at(function), argnums=1)(values, point, *arrays) * direction).sum()

        return jax.grad(along, argnums=(0, 1))(values, point)

    return _with_values(model, variables, gradients)


def _with_values(model, variables, gradients):
    """Return `gradients`, compiled, as a function of arrays alone.

    It gets `at`, the values of `variables`, and the arrays; `at(function)` takes such values, then the arguments of
    `function`, which computes with them.
    """
    chosen = {id(variable) for variable in variables}
    others = [variable for variable in model.variables if id(variable) not in chosen]

    @jax.jit
    def call(values, rest, *arrays):
        def at(function):
            def value_at(values, *arrays):
                mapping = zip([*variables, *others], [*values, *rest], strict=True)
                with keras.StatelessScope(state_mapping=list(mapping)):
                    return function(*arrays)

            return value_at

        return gradients(at, values, *arrays)

    return lambda *arrays: call(_values(variables), _values(others), *arrays)


def _values(variables):
    return [variable.value for variable in variables]


def stepped(model, optimizer, loss, offsets):
    """See `benchmark.nn.engines`."""
    optimizer = common.prepared(model, optimizer)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)

    def value_at(values, others, arrays):
        mapping = [*zip(groups[0], values, strict=True), *zip(groups[1], others, strict=True)]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            value = common.with_own(loss(*arrays), model.losses)
        return value, [scope.get_current_value(variable) for variable in groups[1]]

    @functools.partial(jax.jit, donate_argnums=0)
    def call(state, *arrays):
        values, others, moments = state
        gradient = jax.value_and_grad(value_at, has_aux=True)
        (value, others), gradients = gradient(values, others, arrays)
        if offsets is not None:
            there = [a + b for a, b in zip(values, offsets(values, gradients), strict=True)]
            _, gradients = gradient(there, others, arrays)
        values, moments = optimizer.stateless_apply(moments, gradients, values)
        return (values, others, moments), value

    def step(*arrays):
        state, value = call(tuple(map(_values, groups)), *arrays)
        for group, values in zip(groups, state, strict=True):
            for variable, new in zip(group, values, strict=True):
                variable.assign(new)
        return value

    return step


class Engine:
    """Training and prediction of one network. See `benchmark.nn.engines`."""

    def __init__(self, model, optimizer, inputs=None, labels=None):
        self.steps = 1 if device() == "cpu" else 32
        self.model = model
        network = common.network(model)
        self.optimizer = common.chosen(optimizer)
        self.optimizer.build(network.trainable_variables)
        self._network = network
        self._inputs = inputs
        self._data = None
        if inputs is not None:
            self._data = tuple(map(jax.device_put, (common.on_device(inputs), np.asarray(labels, np.int32))))

        def loss_of(trainable, others, inputs, labels):
            logits, others, added = network.stateless_call(trainable, others, inputs, training=True, return_losses=True)
            return common.with_own(common.cross_entropy(labels, logits), added), others

        def step(data, width, state, taken):
            trainable, others, optimizer = state
            rows, draws = taken
            gradient = jax.value_and_grad(loss_of, has_aux=True)
            inputs = common.batch_of(data[0][rows] if width is None else data[0][rows][:, :width], draws)
            (loss, others), gradients = gradient(trainable, others, inputs, data[1][rows])
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, gradients, trainable)
            return (trainable, others, optimizer), loss

        def train(state, data, rows, width, draws):
            if len(rows) == 1:  # a loop of one would only keep XLA's CPU code from using its threads
                state, loss = step(data, width, state, (rows[0], None if draws is None else draws[0]))
                return state, loss[None]
            return jax.lax.scan(functools.partial(step, data, width), state, (rows, draws))

        def predict(trainable, others, batch):
            logits, _ = network.stateless_call(trainable, others, batch, training=False)
            return logits.argmax(-1)

        def losses(trainable, others, data, rows, width):
            inputs = data[0][rows] if width is None else data[0][rows][:, :width]
            logits, _ = network.stateless_call(trainable, others, inputs, training=False)
            return common.losses_by_row(data[1][rows], logits)

        self._losses = jax.jit(losses, static_argnums=4)
        self._train = jax.jit(train, donate_argnums=0, static_argnums=3)
        self._predict = jax.jit(predict)

    def _state(self):
        groups = (self._network.trainable_variables, self._network.non_trainable_variables, self.optimizer.variables)
        return tuple([variable.value for variable in group] for group in groups)

    def train(self, rows, width=None, draws=None):
        """Run steps on batches of row numbers, (steps, batch) int32; their losses (steps,)."""
        state, losses = self._train(self._state(), self._data, np.asarray(rows, np.int32), width, draws)
        groups = (self._network.trainable_variables, self._network.non_trainable_variables, self.optimizer.variables)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return losses

    def losses(self, rows):
        """Return the cross-entropy of each of these training rows (n,) in evaluation mode, (n,) float32."""
        trainable, others, _ = self._state()
        return common.loss_batches(
            lambda rows, width: self._losses(trainable, others, self._data, rows, width), self._inputs, rows
        )

    def predict(self, inputs):
        """Return the most probable class of each image or text, (n,) int64."""
        trainable, others, _ = self._state()
        return common.predict_batches(functools.partial(self._predict, trainable, others), inputs)

    def variables(self) -> list[keras.Variable]:
        """Every variable that training changes, in a fixed order."""
        return [*self.model.variables, *self.optimizer.variables]
