"""The TensorFlow engine: one `tf.function` for the training steps, one for prediction."""

import functools

import numpy as np
import tensorflow as tf

from benchmark.core.errors import Failure
from benchmark.nn.engines import common


def configure(precision: str, threads: int) -> None:
    """Threads and matrix precision. Only the first call in a process can set the threads."""
    tf.get_logger().setLevel("ERROR")
    before = tf.config.threading.get_intra_op_parallelism_threads()
    if before != threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        except RuntimeError:
            raise Failure(
                f"this process has used TensorFlow with {before or 'its own number of'} threads, and cannot change to "
                f"{threads}: start another process, or use threads={before}"
            ) from None
    tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def device() -> str:
    """`cpu`, or the name of the first GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"


def compiled(model, function):
    """See `benchmark.nn.engines`."""
    return tf.function(function, jit_compile=device() != "cpu", reduce_retracing=True)


def differentiated(model, variables, function):
    """See `benchmark.nn.engines`."""

    @tf.function(jit_compile=device() != "cpu", reduce_retracing=True)
    def call(point, *arrays):
        with tf.GradientTape() as tape:
            if point is not None:
                tape.watch(point)
            value = function(point, *arrays)
        wanted = [variable.value for variable in variables], [] if point is None else [point]
        gradients, by_point = tape.gradient(value, wanted, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]  # a table's are sparse
        return value, gradients, *(by_point or [None])

    return call


def second_order(model, variables, function):
    """See `benchmark.nn.engines`."""

    @tf.function(jit_compile=device() != "cpu", reduce_retracing=True)
    def call(point, direction, *arrays):
        with tf.GradientTape() as outer:
            outer.watch(point)
            with tf.GradientTape() as inner:
                inner.watch(point)
                value = function(point, *arrays)
            along = tf.reduce_sum(inner.gradient(value, point) * direction)
        wanted = [variable.value for variable in variables], point
        return outer.gradient(along, wanted, unconnected_gradients="zero")

    return call


def stepped(model, optimizer, loss, offsets):
    """See `benchmark.nn.engines`."""
    optimizer, weights = common.prepared(model, optimizer), model.trainable_variables

    @tf.function(jit_compile=device() != "cpu" or getattr(model, "compiled_whole", False), reduce_retracing=True)
    def call(*arrays):
        with tf.GradientTape() as tape:
            value = common.with_own(loss(*arrays), model.losses)
        gradients = tape.gradient(value, weights, unconnected_gradients="zero")
        if offsets is not None:
            values = [tf.convert_to_tensor(weight.value) for weight in weights]
            there = [a + b for a, b in zip(values, offsets(values, gradients), strict=True)]
            with tf.GradientTape() as tape:
                tape.watch(there)
                with common.at(model, weights, there):
                    again = common.with_own(loss(*arrays), model.losses)
            gradients = tape.gradient(again, there, unconnected_gradients="zero")
        optimizer.apply(gradients, weights)
        return value

    return call


def _width(width):
    """Return the width of texts as an argument of a compiled function: on a CPU one is compiled for all widths."""
    return tf.constant(width) if width is not None and device() == "cpu" else width


class Engine:
    """Training and prediction of one network. See `benchmark.nn.engines`."""

    def __init__(self, model, optimizer, inputs=None, labels=None):
        on_gpu = device() != "cpu"
        self.steps = 32 if on_gpu else 1
        self.model = model
        network = common.network(model)
        self.optimizer = common.chosen(optimizer)
        self.optimizer.build(network.trainable_variables)

        @tf.function(jit_compile=on_gpu, reduce_retracing=True)
        def predict(batch):
            return tf.argmax(network(batch, training=False), axis=-1)

        self._predict = predict
        if inputs is None:
            return
        self._inputs = inputs
        inputs = tf.constant(common.on_device(inputs))
        labels = tf.constant(np.asarray(labels, np.int32))

        @tf.function(jit_compile=on_gpu)
        def losses(rows, width):
            batch = tf.gather(inputs, rows)
            logits = network(batch if width is None else batch[:, :width], training=False)
            return common.losses_by_row(tf.gather(labels, rows), logits)

        self._losses = losses

        def step(rows, width, draws):
            batch = common.batch_of(tf.gather(inputs, rows), draws)
            with tf.GradientTape() as tape:
                logits = network(batch if width is None else batch[:, :width], training=True)
                loss = common.with_own(common.cross_entropy(tf.gather(labels, rows), logits), network.losses)
            variables = network.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        @tf.function(jit_compile=on_gpu or getattr(model, "compiled_whole", False))
        def train(rows, width, draws):
            if rows.shape[0] == 1:
                return tf.expand_dims(step(rows[0], width, None if draws is None else draws[0]), 0)
            if draws is None:
                one, steps = functools.partial(step, width=width, draws=None), rows
            else:
                one, steps = (lambda both: step(both[0], width, both[1])), (rows, draws)
            return tf.map_fn(one, steps, fn_output_signature=tf.float32, parallel_iterations=1)

        self._train = train

    def train(self, rows, width=None, draws=None):
        """Run steps on batches of row numbers, (steps, batch) int32; their losses (steps,)."""
        draws = None if draws is None else tf.constant(draws)
        return self._train(tf.constant(rows, tf.int32), _width(width), draws)

    def losses(self, rows):
        """Return the cross-entropy of each of these training rows (n,) in evaluation mode, (n,) float32."""
        return common.loss_batches(
            lambda rows, width: self._losses(tf.constant(rows), _width(width)), self._inputs, rows
        )

    def predict(self, inputs):
        """Return the most probable class of each image or text, (n,) int64."""
        return common.predict_batches(self._predict, inputs)

    def variables(self):
        """Every variable that training changes, in a fixed order."""
        return [*self.model.variables, *self.optimizer.variables]
