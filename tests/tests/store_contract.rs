//! The store contract (`components/core/src/store.rs`), clause by clause, on every adapter.
//!
//! A worker is what a host has several of: a worker thread's store on one shared table, or an instance of the component on one
//! database. All workers of an adapter share one state.

#![expect(clippy::unwrap_used, clippy::panic, reason = "in a test a failed assertion is the answer")]

#[path = "store_contract/adapter.rs"]
mod adapter;
#[path = "../../components/core/tests/claims/mod.rs"]
mod claims;
#[path = "store_contract/faults.rs"]
mod faults;
#[path = "store_contract/garbage.rs"]
mod garbage;
#[path = "store_contract/inbox.rs"]
mod inbox;
#[path = "store_contract/life.rs"]
mod life;
#[path = "store_contract/limits.rs"]
mod limits;
#[path = "store_contract/memory.rs"]
mod memory;
#[path = "store_contract/races.rs"]
mod races;
#[path = "store_contract/tables.rs"]
mod tables;
#[path = "store_contract/windows.rs"]
mod windows;

/// Runs every clause on every adapter: one list of each, so that no pair can be missing. A clause that is not listed is dead code.
macro_rules! contract {
    ({ $($name:ident: $adapter:ty,)+ } $clauses:tt) => {
        $(contract!(@ $name, $adapter, $clauses);)+
    };
    (@ $name:ident, $adapter:ty, { $($module:ident::$clause:ident,)+ }) => {
        mod $name {
            $(#[test] fn $clause() { crate::$module::$clause::<$adapter>(); })+
        }
    };
}

contract! {
    {
        memory_table: crate::tables::Memory,
        shared_data: crate::tables::Shared,
        sqlite_inbox: crate::inbox::Sqlite,
    }
    {
        life::an_absent_event_is_fresh_and_a_pending_one_in_flight,
        life::a_committed_event_is_seen_until_its_retention_ends,
        life::a_release_opens_the_event_at_once,
        life::a_late_release_takes_away_no_later_claim,
        life::a_release_takes_away_no_committed_event,
        life::a_late_commit_marks_the_event_whatever_became_of_its_claim,
        life::a_second_commit_changes_nothing,
        life::a_claim_that_is_its_own_hand_on_is_committed_at_once,
        life::a_clock_set_back_shortens_nothing,
        life::a_lease_longer_than_the_longest_is_cut,
        life::a_retention_without_end_is_kept,
        windows::a_window_lies_between_the_times_of_the_events,
        windows::an_identity_is_remembered_for_retention_and_window,
        windows::a_duplicate_is_recorded_and_its_verdict_stays,
        windows::a_window_outlives_neither_a_release_nor_a_lease,
        windows::an_identity_that_outlives_its_event_still_counts,
        windows::a_release_gives_the_identity_back_and_only_its_own,
        windows::a_late_commit_leaves_a_later_owner_its_identity,
        windows::a_window_of_a_claim_that_is_its_own_hand_on,
        memory::a_repeat_hears_the_receipt_key_of_the_first_time,
        memory::an_unknown_event_of_too_great_an_age_is_refused,
        memory::an_event_of_a_fast_clock_is_remembered_from_its_own_time,
        memory::a_clock_set_back_between_claim_and_settlement_forgets_nothing,
        limits::the_quota_is_spent_by_what_writes_and_a_limited_claim_claims_nothing,
        limits::partners_have_quotas_of_their_own,
        limits::a_clock_set_far_back_leaves_one_event,
        limits::the_throttle_counts_refusals_only,
        limits::a_crowd_of_sources_forgives_nobody_in_particular,
        races::of_racing_claims_of_one_event_exactly_one_is_fresh,
        races::of_racing_events_of_one_click_exactly_one_is_fresh,
        races::a_release_and_a_retry_race_without_a_second_hand_on,
        races::racing_claims_spend_no_more_than_the_quota,
        races::racing_refusals_all_count,
        races::a_crowd_of_many_partners_is_told_each_its_own,
        faults::a_claim_that_fails_at_any_step_is_never_taken_for_a_hand_on,
        faults::a_claim_that_is_its_own_hand_on_is_whole_or_nothing,
        faults::a_commit_that_fails_at_any_step_is_made_good_by_the_next,
        faults::a_release_that_fails_at_any_step_is_made_good_by_the_lease,
        faults::a_throttle_that_fails_at_any_step_is_a_fault,
        garbage::a_garbled_claim_is_no_answer_and_opens_after_one_lease,
        garbage::a_garbled_committed_event_is_no_answer,
        garbage::a_garbled_identity_is_no_answer,
        garbage::a_garbled_quota_is_a_fault_once_and_then_spent,
        garbage::a_garbled_throttle_is_a_fault_once_and_then_empty,
    }
}
