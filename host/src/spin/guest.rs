//! One instance of a component: what its host calls reach, and when it starts and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, TryRng};
use wasmtime::component::{GuestTaskId, ResourceTable};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi::{FsPerms, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::allowed_hosts::AllowedHosts;
use super::key_value::KeyValueFile;
use super::logs::{GuestOutput, Logs, Stream};
use super::outbound::Outbound;
use super::state::State;
use crate::clock::Clock;
use crate::fault::Faults;

/// Requests that one instance serves in its life, as in Spin.
const REQUESTS_PER_INSTANCE: usize = 128;
/// Requests that one instance serves at a time unless it is told otherwise, as in Spin.
pub(super) const REQUESTS_AT_A_TIME: usize = 16;
/// How long an instance without requests waits for the next one, as in Spin.
const IDLE: Duration = Duration::from_secs(1);

/// What all components of an application share.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) requests_at_a_time: usize,
    pub(super) faults: Faults,
    pub(super) logs: Logs,
    pub(super) random: Option<Random>,
    pub(super) state: State,
    pub(super) key_value: Arc<KeyValueFile>,
}

/// One component as the manifest has it, resolved for this run.
pub(super) struct Component {
    pub(super) id: String,
    pub(super) shared: Arc<Shared>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) environment: Vec<(String, String)>,
    /// The folder of its files, the guest's `/`, read-only.
    pub(super) files: Option<tempfile::TempDir>,
    pub(super) databases: BTreeSet<String>,
    pub(super) stores: BTreeSet<String>,
}

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

/// A seeded source that all instances draw from, so that a run with one request at a time repeats exactly.
#[derive(Clone)]
pub(super) struct Random(Arc<Mutex<StdRng>>);

impl Random {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(rand::SeedableRng::seed_from_u64(seed))))
    }
}

impl TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).try_fill_bytes(bytes)
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
