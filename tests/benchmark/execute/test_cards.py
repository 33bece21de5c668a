"""Which run goes where: numbers given, memory told, runs repeated alone, devices left out."""

from hypothesis import given
from hypothesis import strategies as st

from benchmark.execute.cards import HOPELESS, MOST_PACKED, USABLE, Card, Demand

GB = 2**30


def card(jobs=None, name="cuda:0", cores=16, memory=80 * GB):
    return Card(name, jobs, cores, memory)


def demand(gigabytes=None, alone=False):
    need = None if gigabytes is None else int(gigabytes * GB)
    return Demand(("net",), need, alone)


def test_a_given_number_decides_alone():
    two = card(jobs=2)
    assert two.admits(demand(100))
    two.running.append(demand(100))
    assert two.admits(demand())
    two.running.append(demand())
    assert not two.admits(demand(1))
    assert two.share(demand()) == USABLE / 2
    assert card(jobs=1).share(demand()) is None


def test_auto_is_one_run_on_a_cpu_and_bounded_by_cores():
    assert card(name="cpu").most == 1
    assert card().most == MOST_PACKED
    assert card(cores=2).most == 2
    assert card(cores=0).most == 1


def test_auto_waits_until_the_need_is_known_then_fills_the_memory():
    one = card(memory=None)
    first = demand()
    assert one.admits(first)
    assert one.share(first) == USABLE  # alone so far
    one.running.append(first)
    assert not one.admits(demand(1))  # neither card nor run have told
    one.memory, first.need = 80 * GB, 30 * GB
    assert one.admits(demand())  # as large as the largest: 30 of 46
    assert one.share(demand()) == USABLE - 30 / 80
    assert one.admits(demand(40))
    assert one.share(demand(40)) == 0.5
    assert not one.admits(demand(47))
    one.running.append(demand(40))
    assert not one.admits(demand())
    assert one.admits(demand(5))


@given(needs=st.lists(st.integers(1, 60), min_size=1, max_size=12), memory=st.integers(20, 160))
def test_what_is_packed_fits(needs, memory):
    one = card(memory=memory * GB)
    for need in needs:
        wanted = demand(need)
        if one.admits(wanted):
            beside = bool(one.running)
            share = one.share(wanted)
            one.running.append(wanted)
            if beside:
                assert sum(other.need for other in one.running) <= USABLE * memory * GB
                assert share * memory * GB <= wanted.need + 1
    assert len(one.running) <= MOST_PACKED
    assert one.running  # the first one always runs, whatever it needs


def test_runs_of_one_kind_are_told_apart():
    """The one that ends must not take the other's place on the device with it."""
    four = card(jobs=None)
    first, second = demand(10), demand(10)
    four.running += [first, second]
    four.running.remove(second)
    first.need = 70 * GB
    assert not four.admits(demand(10))


def test_a_run_that_is_repeated_has_the_device_to_itself():
    four = card(jobs=4)
    four.running.append(demand(1))
    assert not four.admits(demand(1, alone=True))
    four.running.clear()
    lone = demand(1, alone=True)
    assert four.admits(lone)
    assert four.share(lone) is None
    four.running.append(lone)
    assert not four.admits(demand(1))


def test_a_device_on_which_nothing_comes_up_is_left_out():
    gpu, cpu = card(jobs=1), card(jobs=1, name="cpu")
    gpu.failures = cpu.failures = HOPELESS - 1
    assert gpu.admits(demand())
    gpu.failures = cpu.failures = HOPELESS
    assert gpu.lost
    assert not gpu.admits(demand())
    assert cpu.admits(demand())  # its runs fail for reasons of their own
