//! One instance of a component: what its host calls reach, and when it starts and ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rand::Rng as _;
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi::{FsPerms, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::allowed_hosts::AllowedHosts;
use super::component::Component;
use super::logs::Stream;
use super::outbound::Outbound;
use super::output::GuestOutput;
use crate::clock::Clock;

/// Requests that one instance serves in its life, as in Spin.
const REQUESTS_PER_INSTANCE: usize = 128;
/// Requests that one instance serves at a time unless it is told otherwise, as in Spin.
pub(super) const REQUESTS_AT_A_TIME: usize = 16;
/// How long an instance without requests waits for the next one, as in Spin.
const IDLE: Duration = Duration::from_secs(1);

/// The data of one instance's store.
pub(super) struct Guest {
    pub(super) table: ResourceTable,
    /// Open SQLite connections.
    pub(super) connections: u32,
    /// Open key-value stores.
    pub(super) stores: u32,
    /// Open Redis connections.
    pub(super) redis_connections: u32,
    component: Arc<Component>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
}

impl Guest {
    fn new(component: &Arc<Component>, outbound: Outbound) -> wasmtime::Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(GuestOutput::new(component, Stream::Stdout))
            .stderr(GuestOutput::new(component, Stream::Stderr));
        wasi.envs(&component.environment).wall_clock(WallClock(component.shared.clock.clone()));
        // No sockets: Spin's components speak HTTP, and `allowed_outbound_hosts` is checked there.
        wasi.allow_ip_name_lookup(false).allow_tcp(false).allow_udp(false);
        if let Some(folder) = &component.files {
            wasi.preopened_dir(folder.path(), "/", FsPerms::ReadOnly)?;
        }
        if let Some(random) = &component.shared.random {
            wasi.secure_random(random.clone())
                .insecure_random(random.clone())
                .insecure_random_seed(random.clone().next_u64().into());
        }
        Ok(Self {
            table: ResourceTable::new(),
            connections: 0,
            stores: 0,
            redis_connections: 0,
            component: component.clone(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound,
        })
    }

    pub(super) fn component(&self) -> Arc<Component> {
        self.component.clone()
    }

    pub(super) fn allowed_hosts(&self) -> Arc<AllowedHosts> {
        self.outbound.allowed.clone()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// WASI's wall clock. The monotonic clock stays the machine's: timers run on it.
struct WallClock(Clock);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0.now()
    }
}

/// Makes instances of one component, for `ProxyHandler`.
pub(super) struct Factory {
    pub(super) component: Arc<Component>,
    pub(super) service: ServicePre<Guest>,
    pub(super) outbound: Outbound,
}

impl HandlerState for Factory {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Expiration, Worker>> {
        let mut store =
            Store::new(self.service.engine(), Guest::new(&self.component, self.outbound.clone())?);
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: Guest::http,
            expiration: Expiration(Box::pin(tokio::time::sleep(IDLE))),
            state: Worker { component: self.component.clone() },
        })
    }
}

/// Ends an instance that has been idle for [`IDLE`]; a request has no time limit, as in Spin by default.
pub(super) struct Expiration(Pin<Box<tokio::time::Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        match status {
            WorkerStatus::Requests | WorkerStatus::PostReturn => Poll::Pending,
            WorkerStatus::Idle => {
                let deadline = start.checked_add(IDLE).unwrap_or(start).into();
                if self.0.deadline() != deadline {
                    self.0.as_mut().reset(deadline);
                }
                self.0.as_mut().poll(context)
            }
        }
    }
}

/// How many requests an instance takes, and what becomes of it at its end.
pub(super) struct Worker {
    component: Arc<Component>,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent_count: usize, total_count: usize) -> ShouldAccept {
        if total_count >= REQUESTS_PER_INSTANCE {
            ShouldAccept::Never
        } else if concurrent_count >= self.component.shared.requests_at_a_time {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, result: wasmtime::Result<()>) {
        // The store goes first: what the guest wrote last is flushed before the reason of its end.
        drop(store);
        if let Err(error) = result {
            self.component.shared.logs.write(
                &self.component.id,
                Stream::Host,
                format!("instance failed: {error:?}").as_bytes(),
            );
        }
    }
}
