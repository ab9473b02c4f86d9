import signal
import time

import pytest

from vae_jax.runtime.signals import StoppedError, delay_signals, handle_signals

SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)


def send(*numbers):
    """Sends signals to this process, and returns whether none of them raised."""
    for number in numbers:
        signal.raise_signal(number)
    return True


@SIGNALS
def test_a_signal_raises_at_once_with_its_status_and_says_how_to_go_on(number, status):
    with handle_signals(), pytest.raises(StoppedError) as error:
        send(number)
    assert error.value.status == status
    assert error.value.message == f"stopped by {number.name}; the same command continues"


@SIGNALS
def test_a_delayed_signal_raises_at_the_end_of_the_block(number, status):
    came = []

    def work():
        with delay_signals() as get_signal:
            came.append(get_signal())
            send(number)
            came.append(get_signal())

    with handle_signals(), pytest.raises(StoppedError) as error:
        work()
    assert error.value.status == status
    assert came == [None, number]


def test_a_second_signal_does_not_wait():
    ends = []

    def work():
        with delay_signals():
            send(signal.SIGTERM, signal.SIGINT)
            ends.append("reached")

    with handle_signals(), pytest.raises(StoppedError, match="SIGINT"):
        work()
    assert not ends


def test_a_signal_is_not_lost_where_python_drops_errors():
    class Stopped:
        def __del__(self):
            send(signal.SIGTERM)

    def work():
        stopped = Stopped()
        del stopped  # Python drops what the handler raises meanwhile
        time.sleep(5)

    with handle_signals(), pytest.raises(StoppedError, match="SIGTERM"):
        work()


def test_no_exception_handler_holds_a_signal_up():
    assert not issubclass(StoppedError, Exception)


def test_earlier_handlers_and_the_undelayed_state_come_back():
    def fail():
        with delay_signals():
            send(signal.SIGTERM)
            raise KeyError

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with handle_signals():
        with pytest.raises(KeyError):
            fail()
        with delay_signals() as get_signal:
            assert get_signal() is None
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
