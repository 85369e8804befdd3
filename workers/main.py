"""The worker process: the loops that carry steps out, and arq as their ticker.

Woken in this order of speed: the ring of a commit (PostgreSQL NOTIFY), a timer of its own, arq's one-second cron.
arq holds no truth: its job wakes the loops and returns. Without Redis the worker goes on by ring and timer.

Source: architecture.md "The flow of one step"; stack.md section 1 on arq.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.cron import cron
from arq.typing import WorkerCoroutine
from arq.worker import Worker
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from domain import (
    bulk,
    deeds,
    ending_suppressed,
    error_groups,
    faults,
    guardrails,
    import_files,
    inbound,
    pending,
    public_holidays,
    retention,
    sending,
    settling,
    trial_mails,
    turns,
    unconfirmed,
    unsendable,
    watching,
    webhook_delivery,
)
from domain.database import database
from domain.ringing import listen
from domain.rules.inbound.intake import InboundSource
from domain.secrets import Vault
from domain.settings import Settings
from workers.health import WorkerHealth
from workers.rounds import Round
from workers.sandbox import Answers, SandboxedTexts
from workers.sender import Sender
from workers.smtp_pool import SmtpPool
from workers.telling import Teller
from workers.text_proof import TextProof
from workers.trial_post import TrialPost
from workers.twilio import TwilioGateway
from workers.watcher import Watcher
from workers.webhooks import Deliverer

log = logging.getLogger("relance.worker")

QUEUE: Final = "relance:arq"
_SETTLED_AT_ONCE: Final = 20


async def run(
    settings: Settings,
    stop: asyncio.Event,
    *,
    tls_context: ssl.SSLContext | None = None,
    hurry: asyncio.Event | None = None,
    health: WorkerHealth | None = None,
) -> None:
    """Work until `stop` is set; then finish what is past its second mark and give the rest back.

    That takes `settings.stop_seconds` at most, or until `hurry` is set. `health` is told how it goes.

    Raises:
        DatabaseUnreachable: at the start. Later outages are survived.
    """
    health, hurry = health or WorkerHealth(), hurry or asyncio.Event()
    faults.arm(os.environ.get("RELANCE_FAULTS", ""))
    lease = timedelta(seconds=settings.lease_seconds)
    redis = Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
    vault = Vault(settings.secret_key, settings.previous_keys)
    async with database(
        settings.database_url,
        pool_size=settings.database_pool_size,
        application="relance-worker",
        pepper=vault.pepper,
    ):
        rounds: list[Round] = []
        provider = TwilioGateway(settings.reach, tls_context=tls_context)
        texts = SandboxedTexts(provider)
        sender = Sender(
            vault,
            slots=settings.worker_slots,
            lease=lease,
            on_free=lambda: send.wake(),
            pool=SmtpPool(tls_context=tls_context),
            reach=settings.reach,
            texts=texts,
            links_url=settings.links_url,
        )
        trials = TrialPost(vault, SmtpPool(tls_context=tls_context), settings.reach)
        teller = Teller(redis)
        deliverer = Deliverer(vault, settings.reach, tls_context=tls_context, on_free=lambda: deliver.wake())

        async def number() -> bool:
            more = await teller.number_and_tell()
            deliver.wake()  # endpoints are told of what has a number
            return more

        async def prune() -> bool:
            return await retention.prune(timedelta(days=settings.events_kept_days))

        watcher = Watcher(
            vault,
            _take_in,
            reach=settings.reach,
            lease=lease,
            tls_context=tls_context,
            on_due=lambda: turns.wake(),
        )
        turns = Round("watching", watcher.turns, every_seconds=1.0)
        deliver = Round("webhooks", deliverer.claim_and_start, every_seconds=1.0)
        send = Round("send", sender.claim_and_start, every_seconds=1.0)
        rounds = [
            send,
            Round("number", number, every_seconds=2.0),
            Round("pending", _put_pending, every_seconds=1.0),
            Round("settle", _settle, every_seconds=1.0),
            deliver,
            Round("retry", error_groups.go_on, every_seconds=1.0),
            Round("bulk", bulk.go_on, every_seconds=0.5),
            Round("unsendable", _fail_unsendable, every_seconds=1.0),
            Round("old keys", _forget_old_keys, every_seconds=60.0),
            Round("guardrails", _guard, every_seconds=30.0),
            Round("abandoned", _abandoned, every_seconds=min(5.0, settings.lease_seconds / 2)),
            Round("forget", _forget_old, every_seconds=600.0),
            Round("prune", prune, every_seconds=60.0),
            Round("holidays", public_holidays.renew, every_seconds=3600.0),
            Round("watches", watcher.take, every_seconds=min(5.0, settings.lease_seconds / 3)),
            turns,
            Round("trials", trials.claim_and_start, every_seconds=1.0),
            Round("lost trials", _give_up_trials, every_seconds=60.0),
            Round("sandbox", Answers().come_back, every_seconds=1.0),
            Round("text proof", TextProof(vault, texts).look, every_seconds=20.0),
        ]

        # Outlives the others: what is finished after `stop` must not look like a dead worker's.
        leases = Round("leases", sender.renew_leases, every_seconds=settings.lease_seconds / 3)
        carried = asyncio.Event()

        def wake() -> None:
            for each in rounds[:5]:  # what is unsendable is no one's to wait for: the timer is enough
                each.wake()

        tasks = [asyncio.create_task(each.run(stop), name=f"loop-{each.name}") for each in rounds]
        tasks.append(asyncio.create_task(leases.run(carried), name="loop-leases"))
        tasks.append(asyncio.create_task(_listen(settings.database_url, wake, stop), name="ring"))
        tasks.append(asyncio.create_task(_tick(settings.redis_url, wake, stop), name="arq"))
        health.rounds, health.redis, health.stopping, health.ready_to_work = [*rounds, leases], redis, stop, True
        log.info("the worker is ready")
        try:
            await stop.wait()
        finally:
            for each in rounds:
                each.wake()  # a loop that sleeps would keep the end waiting
            try:
                await asyncio.gather(
                    sender.stop(settings.stop_seconds, hurry),
                    trials.stop(settings.stop_seconds, hurry),
                    deliverer.stop(),
                    watcher.stop(),
                )
            finally:
                carried.set()
                leases.wake()
            _, late = await asyncio.wait(tasks, timeout=3)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await provider.close()
            await redis.aclose()


async def _take_in(workspace_id: UUID, mailbox_id: UUID, raw: bytes) -> None:
    await inbound.ingest(workspace_id, mailbox_id, raw, InboundSource.MAILBOX)


async def _forget_old() -> bool:
    deliveries = await webhook_delivery.forget_old()
    operations = await bulk.forget_old()
    files = await import_files.forget_old()
    return await watching.forget_old() > 0 or deliveries or operations or files


async def _put_pending() -> bool:
    return await pending.put_due_before_people() > 0


async def _fail_unsendable() -> bool:
    return await unsendable.fail_due_without_mailbox() > 0


async def _guard() -> bool:
    await guardrails.check_all()
    return False


async def _abandoned() -> bool:
    await turns.forget_past_domain_turns()
    await sending.drop_abandoned()
    return await unconfirmed.give_up_lost_hand_overs() > 0


async def _forget_old_keys() -> bool:
    return await deeds.forget_old_keys() > 0


async def _give_up_trials() -> bool:
    return await trial_mails.give_up_lost() > 0


async def _settle() -> bool:
    more = False
    for workspace_id, sequence_id in (await settling.unsettled())[:_SETTLED_AT_ONCE]:
        more = await settling.settle_batch(workspace_id, sequence_id) > 0 or more
    for workspace_id, suppression_id in await ending_suppressed.unsettled():
        more = (await ending_suppressed.settle_batch(workspace_id, suppression_id))[2] or more
    return more


async def _listen(url: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Keep a direct connection that hears the ring; open it anew when it breaks."""
    while not stop.is_set():
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            connection = await listen(url, wake)
            broken = asyncio.Event()
            connection.add_termination_listener(lambda _, broken=broken: broken.set())
            try:
                wake()  # whatever was rung while nobody listened
                await _first(broken, stop)
            finally:
                await connection.close(timeout=2)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _tick(url: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Keep an arq worker whose only job wakes the loops; start it anew when Redis outlasted its patience."""

    async def tick(ctx: dict[Any, Any], *_: Any, **__: Any) -> None:
        wake()

    pause_seconds = 1.0
    while not stop.is_set():
        pool: ArqRedis | None = None
        try:
            # Both ends: arq enqueues its cron jobs through the pool, whose own default is pickle.
            pool = await create_pool(_redis_settings(url), job_serializer=_to_json, job_deserializer=orjson.loads)
            await _run_arq(_arq_worker(pool, tick), stop)
        except (RedisError, OSError) as problem:
            log.warning("arq stopped (%s) and is started again", type(problem).__name__)
        finally:
            if pool is not None:
                with contextlib.suppress(RedisError, OSError):
                    await pool.aclose(close_connection_pool=True)
        if not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_seconds)
            pause_seconds = min(pause_seconds * 2, 10.0)


async def _run_arq(worker: Worker, stop: asyncio.Event) -> None:
    """Run arq until it ends by itself, with whatever Redis threw, or until `stop` is set."""
    running = asyncio.create_task(worker.async_run(), name="arq-worker")
    stopping = asyncio.create_task(stop.wait(), name="arq-stop")
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        running.cancel()
        ended, *_ = await asyncio.gather(running, *worker.tasks.values(), stopping, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


def _redis_settings(url: str) -> RedisSettings:
    found = RedisSettings.from_dsn(url)
    found.retry_on_timeout = True
    found.retry_on_error = [RedisError, OSError]
    found.retry = Retry(ExponentialBackoff(cap=1, base=0.1), 20)
    return found


def _to_json(job: dict[str, Any]) -> bytes:
    """Return a job or its end as JSON. arq stores the exception of an expired job, too: as its words."""
    return orjson.dumps(job, default=str)


def _arq_worker(pool: ArqRedis, tick: WorkerCoroutine) -> Worker:
    return Worker(
        functions=[],
        cron_jobs=[
            cron(tick, name="tick", second=set(range(60)), microsecond=0, timeout=5, keep_result=0, max_tries=1)
        ],
        redis_pool=pool,
        queue_name=QUEUE,
        handle_signals=False,
        max_jobs=10,
        poll_delay=0.1,
        job_timeout=10,
        keep_result=0,
        log_results=False,
        health_check_interval=10,
        job_serializer=_to_json,
        job_deserializer=orjson.loads,
    )
