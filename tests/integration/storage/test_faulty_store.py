"""The real MinIO behind a proxy that fails, hangs, resets, repeats: a step ends with exactly one sound commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from crashing_step import FILES, KEY, LENGTH, Outcome, run_step
from fault_proxy import Fault, FaultProxy, Request, fault_proxy

from disentanglement.errors import (
    DeadlineExceeded,
    SpecError,
    StoreRefused,
    Unavailable,
)
from disentanglement.specs import StepKey
from disentanglement.storage import prefixes
from disentanglement.storage.commit import committed, list_committed
from disentanglement.storage.keys import ManifestKey, NameKey, UploadKey
from disentanglement.storage.minio_store import MinioStore
from disentanglement.storage.settings import S3Settings
from disentanglement.storage.store import Store

OpenBucket = Callable[..., MinioStore]
FAILING = [fault for fault in Fault if fault is not Fault.DENY_CONFLICT]


@pytest.fixture(scope="session")
def shared_proxy(bucket_settings: S3Settings) -> Iterator[FaultProxy]:
    with fault_proxy(bucket_settings.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared_proxy: FaultProxy) -> FaultProxy:
    shared_proxy.reset()
    return shared_proxy


@pytest.fixture
def through(proxy: FaultProxy, open_bucket: OpenBucket) -> OpenBucket:
    """Opens the bucket through the proxy, with little patience."""

    def open_it(**changes: object) -> MinioStore:
        return open_bucket(**{"endpoint": proxy.endpoint, "read_timeout_s": 0.3, "retries": 2, **changes})

    return open_it


def always(fault: Fault) -> Callable[[Request], Fault]:
    return lambda request: fault


def at(number: int, fault: Fault) -> Callable[[Request], Fault | None]:
    return lambda request: fault if request.number == number else None


def first_conditional(fault: Fault) -> Callable[[Request], Fault | None]:
    left = [fault]
    return lambda request: left.pop() if request.is_conditional and left else None


def run_until_done(store: Store, key: StepKey = KEY, *, length: int = LENGTH) -> Outcome:
    for _ in range(3):
        try:
            return run_step(store, key, length=length)
        except Unavailable:
            continue
    return run_step(store, key, length=length)


def assert_one_sound_commit(store: Store, key: StepKey = KEY) -> None:
    manifest = committed(store, "train", key, verify_digests=True)
    assert manifest is not None
    assert set(manifest.files) == set(FILES)
    assert key in list_committed(store, "train")


@pytest.mark.parametrize("fault", FAILING)
def test_a_fault_at_the_commit_leaves_one_manifest_and_it_is_ours(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket, fault: Fault
) -> None:
    store = through()
    proxy.reset(first_conditional(fault))
    outcome = run_step(store)
    assert outcome.commit is not None
    assert outcome.commit.is_ours
    assert outcome.commit.violation is None
    assert_one_sound_commit(open_bucket())


@pytest.mark.parametrize("fault", [f for f in FAILING if f not in (Fault.HANG, Fault.APPLY_AND_HANG)])
def test_a_fault_at_any_one_request_of_a_step_ends_with_one_sound_commit(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket, fault: Fault
) -> None:
    store, direct = through(), open_bucket()
    for number, letter in enumerate("abcdefghijklmnop"):
        key = StepKey(KEY.dataset, KEY.method, letter * 52)
        proxy.reset(at(number, fault))
        run_until_done(store, key, length=1)
        assert_one_sound_commit(direct, key)
        if len(proxy.requests) <= number:
            return  # every request of a step was hit
    pytest.fail("a step sends more requests than were tried")


def test_a_store_that_fails_every_third_request_is_worked_with(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket
) -> None:
    store = through(check_conditional_put=False)
    proxy.reset(lambda request: FAILING[request.number % len(FAILING)] if request.number % 3 == 2 else None)
    run_until_done(store)
    assert_one_sound_commit(open_bucket())


def test_a_commit_that_is_never_answered_stands_and_the_next_run_sees_it(
    proxy: FaultProxy, through: OpenBucket
) -> None:
    store = through()
    proxy.reset(lambda request: Fault.APPLY_AND_RESET if request.is_conditional else None)
    with pytest.raises(Unavailable):
        run_step(store)
    proxy.reset()
    assert run_step(store).commit is None
    assert_one_sound_commit(store)


def operations(store: Store) -> list[Callable[[], object]]:
    return [
        lambda: store.put(NameKey("p", "n"), b"x", if_absent=True),
        lambda: store.get(NameKey("p", "n")),
        lambda: store.head(NameKey("p", "n")),
        lambda: store.put(NameKey("p", "n"), b"x"),
        lambda: list(store.list(prefixes.EVERYTHING)),
        lambda: store.delete(NameKey("p", "n")),
    ]


@pytest.mark.parametrize(
    ("fault", "error", "tried"),
    [(Fault.ANSWER_503, Unavailable, 6), (Fault.RESET, Unavailable, 6), (Fault.HANG, DeadlineExceeded, 2)],
)
def test_a_store_that_is_down_is_unavailable_after_a_bounded_number_of_requests(
    proxy: FaultProxy, through: OpenBucket, fault: Fault, error: type[Unavailable], tried: int
) -> None:
    for operation in operations(through(retries=1, check_conditional_put=False))[:tried]:
        proxy.reset(always(fault))
        with pytest.raises(error) as raised:
            operation()
        assert raised.value.retryable
        assert len(proxy.requests) == 2


def test_a_port_where_nobody_listens_is_unavailable(open_bucket: OpenBucket) -> None:
    with pytest.raises(Unavailable):
        open_bucket(endpoint="127.0.0.1:9", retries=0)


def test_a_download_that_breaks_goes_on_where_it_broke(proxy: FaultProxy, through: OpenBucket) -> None:
    store, data = through(), os.urandom(3 << 20)
    store.put(UploadKey("4" * 64), data)
    proxy.reset(lambda request: Fault.CUT if request.number < 3 else None)
    with store.open(UploadKey("4" * 64)) as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == data
    assert len(proxy.requests) == 4


def test_a_download_that_breaks_while_the_object_is_replaced_does_not_mix_versions(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket
) -> None:
    store, key = through(), UploadKey("5" * 64)
    store.put(key, b"1" * (3 << 20))
    proxy.reset(at(0, Fault.CUT))
    with store.open(key) as stream:
        open_bucket().put(key, b"2" * (3 << 20))
        with pytest.raises(Unavailable, match="PreconditionFailed"):
            stream.read()


@pytest.mark.parametrize("fault", FAILING)
def test_a_fault_in_an_upload_of_many_parts_does_no_harm(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket, fault: Fault
) -> None:
    """Three parts: create, three times send, complete."""
    data = os.urandom(1 << 20) * 17
    store = through(check_conditional_put=False, read_timeout_s=2.0)  # a busy machine takes its time for 17 MiB
    for number in range(5):
        key = UploadKey(f"{number}" * 64)
        proxy.reset(at(number, fault))
        store.put(key, data)
        assert open_bucket().get(key) == data


def test_a_store_that_ignores_conditions_is_refused(proxy: FaultProxy, through: OpenBucket) -> None:
    proxy.reset(always(Fault.DENY_CONFLICT))
    with pytest.raises(SpecError, match="CHECK_CONDITIONAL_PUT"):
        through()
    assert [request.method for request in proxy.requests] == ["PUT", "PUT", "DELETE"]


def test_a_store_that_ignores_conditions_is_taken_when_that_is_said_out_loud(
    proxy: FaultProxy, through: OpenBucket
) -> None:
    proxy.reset(always(Fault.DENY_CONFLICT))
    assert through(check_conditional_put=False).put(NameKey("p", "n"), b"x")


@pytest.mark.parametrize("fault", FAILING)
def test_the_proof_of_conditional_writes_survives_a_fault(
    proxy: FaultProxy, through: OpenBucket, open_bucket: OpenBucket, fault: Fault
) -> None:
    for number in range(2):
        proxy.reset(at(number, fault))
        through()
    assert list(open_bucket().list(prefixes.probes())) == []


@pytest.mark.parametrize("wrong", [{"secret_key": "wrong-secret-key"}, {"access_key": "nobody-at-all"}])
def test_wrong_credentials_are_refused_without_showing_them(
    open_bucket: OpenBucket, bucket_settings: S3Settings, wrong: dict[str, str]
) -> None:
    with pytest.raises(StoreRefused) as raised:
        open_bucket(**wrong)
    told = f"{raised.value} {raised.value.__cause__} {bucket_settings!r} {open_bucket()!r}"
    for secret in (*wrong.values(), bucket_settings.secret_key, bucket_settings.access_key):
        assert secret not in told


def test_a_bucket_that_does_not_exist_is_named(open_bucket: OpenBucket) -> None:
    with pytest.raises(StoreRefused, match=r"NoSuchBucket.*store create-bucket"):
        open_bucket(bucket="there-is-no-such-bucket")


def test_neighbours_in_one_bucket_do_not_see_each_other(open_bucket: OpenBucket) -> None:
    one, other = open_bucket(prefix="one"), open_bucket(prefix="one-more")
    one.put(ManifestKey("train", KEY), b"{}")
    assert list(other.list(prefixes.EVERYTHING)) == []
    assert [info.key for info in one.list(prefixes.EVERYTHING)] == [ManifestKey("train", KEY)]
