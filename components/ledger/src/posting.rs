//! What one event becomes: postings and a verdict, a wait, or a dead letter (source §3, §7, §8). Pure. Sums, counts and verdicts
//! are the same in whatever order the events arrive; docs/ledger.md lists the few things that are not.
//!
//! [`decide`] reads a [`Book`] with all that is known around a batch of events, and notes in it what it decides, so that the next
//! event of the batch finds it there. What it decides is written into a [`SettlingRows`], whose rows are those of the SQL view
//! `settling`.

use alloc::borrow::ToOwned as _;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::event::{EventType, Original};
use countersign_core::money::Amount;
use countersign_core::time::Timestamp;

use crate::attribution::Touch;
use crate::book::{Account, Book, DepositMade, FirstDeposit, Install, Posted, QueuedEvent};
use crate::decision::{DeadCause, Decision, Verdict, Wait, WaitReason};
use crate::fx::Unconverted;
use crate::poster::Poster;
use crate::posting_row::{PostingKind, PostingRow, signed};
use crate::rules::Rules;
use crate::settling::SettlingRows;
use crate::trace::{Traced, trace};

/// Decides one event at `now`, notes what it decides in `book`, and writes its rows.
pub fn decide(
    rules: &Rules,
    book: &mut Book,
    queued: &QueuedEvent,
    now: Timestamp,
    rows: &mut SettlingRows,
) -> Decision {
    let decision = match post(rules, book, queued, now) {
        Ok(None) => Decision::Repeat,
        Ok(Some(plan)) => {
            plan.carry_out(book, queued, rows);
            Decision::Post
        }
        Err(Refused::Wait(wait)) => Decision::Wait(wait),
        Err(Refused::Dead(dead)) => Decision::Dead(dead),
        Err(Refused::Unconverted(problem)) => unconverted(rules, queued, now, problem),
    };
    match &decision {
        Decision::Post | Decision::Repeat => rows.done.push(queued.id),
        Decision::Dead(dead) => {
            rows.done.push(queued.id);
            rows.dead.push((queued.id, *dead, dead.detail(), queued.attempts));
        }
        // When it is due again is the caller's: that takes a random number.
        Decision::Wait(_) => {}
    }
    decision
}

/// Without a rate the event waits; a sum that is too large stays so.
fn unconverted(rules: &Rules, queued: &QueuedEvent, now: Timestamp, problem: Unconverted) -> Decision {
    match problem {
        Unconverted::OutOfRange => Decision::Dead(DeadCause::AmountOutOfRange),
        Unconverted::NoDay | Unconverted::NoQuote { .. } => {
            let until = queued.received_at.plus_ms(rules.patience.rate_ms);
            if now < until {
                Decision::Wait(Wait { reason: WaitReason::RateUnknown, waits_for: "rate".to_owned(), until })
            } else {
                Decision::Dead(DeadCause::RateUnknown)
            }
        }
    }
}

enum Refused {
    Wait(Wait),
    Dead(DeadCause),
    /// It needs a rate, and there is none; or the sum is too large.
    Unconverted(Unconverted),
}

impl From<Wait> for Refused {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

impl From<DeadCause> for Refused {
    fn from(dead: DeadCause) -> Self {
        Self::Dead(dead)
    }
}

impl From<Unconverted> for Refused {
    fn from(problem: Unconverted) -> Self {
        Self::Unconverted(problem)
    }
}

/// What is to be written of an event, once nothing can fail any more.
struct Plan {
    traced: Traced,
    account_id: Option<String>,
    reversal: Option<Reversal>,
    postings: Vec<PostingRow>,
    verdicts: Vec<(i64, Verdict)>,
    /// The first deposit, and the one that was it so far.
    first: Option<(i64, Option<i64>)>,
    account: Option<Account>,
    candidate: Option<DepositMade>,
}

fn post(rules: &Rules, book: &Book, queued: &QueuedEvent, now: Timestamp) -> Result<Option<Plan>, Refused> {
    let name = (queued.partner.clone(), queued.event_id.clone());
    let posted = book.entries.get(&name).map(|posted| &posted.payload_hash);
    if let Some(payload_hash) = posted.or_else(|| book.purged.get(&name)) {
        return if *payload_hash == queued.payload_hash {
            Ok(None)
        } else {
            Err(DeadCause::EventIdReused.into())
        };
    }
    let account_name =
        queued.payload.account_id.clone().map(|account_id| (queued.partner.clone(), account_id));
    let account = account_name.as_ref().and_then(|name| book.accounts.get(name));
    // What undoes a deposit is booked where the deposit is, or net revenue would go below zero there and stay too high here.
    let undone = undone(rules, book, queued, now)?;
    let traced = match &undone {
        Some(Undone { deposit, .. }) => Traced {
            touch: Touch { click_id: queued.click_id.clone(), campaign: deposit.campaign.clone() },
            attribution: deposit.attribution,
            matched_by: None,
        },
        None => trace(rules, book, queued, now)?,
    };
    let account_id =
        undone.as_ref().map_or(&queued.payload.account_id, |undone| &undone.deposit.account_id).clone();
    let mut plan = Plan {
        traced,
        account_id,
        reversal: None,
        postings: Vec::new(),
        verdicts: Vec::new(),
        first: None,
        account: None,
        candidate: None,
    };
    let poster = Poster::new(rules, &queued.partner, &book.rates, queued.id);
    match (queued.event, undone) {
        (_, Some(undone)) => plan.reverse(&poster, queued, &undone)?,
        (EventType::Registration | EventType::KycApproved, None) => plan.meet(&poster, queued, account)?,
        (EventType::DepositSuccess, None) => plan.deposit(&poster, queued, account)?,
        (EventType::Install, None) => {}
        (EventType::Custom(_), None) => plan.custom(&poster, queued)?,
        // These undo something, or they have been refused.
        (EventType::Refund | EventType::Chargeback | EventType::ChargebackReversed, None) => {
            return Err(DeadCause::RowDamaged.into());
        }
    }
    Ok(Some(plan))
}

/// What an event undoes.
struct Undone<'b> {
    what: Original,
    /// The event that it names: the deposit, or a chargeback of it.
    original: &'b Posted,
    /// Its event id.
    original_id: &'b String,
    deposit: &'b Posted,
    /// The deposit's event id.
    deposit_id: &'b String,
}

/// What an event undoes, where it is of a type that does; it waits for it.
fn undone<'b>(
    rules: &Rules,
    book: &'b Book,
    queued: &'b QueuedEvent,
    now: Timestamp,
) -> Result<Option<Undone<'b>>, Refused> {
    let Some(what) = queued.event.original() else { return Ok(None) };
    let (Some(_), Some(original_id)) = (queued.payload.amount, &queued.payload.original_event_id) else {
        return Err(DeadCause::RowDamaged.into());
    };
    let name = |event_id: &String| (queued.partner.clone(), event_id.clone());
    let Some(original) = book.entries.get(&name(original_id)) else {
        if book.purged.contains_key(&name(original_id)) {
            return Err(DeadCause::OriginalPurged.into());
        }
        let until = queued.received_at.plus_ms(rules.patience.original_ms);
        if now >= until {
            return Err(DeadCause::OriginalUnknown.into());
        }
        let waits_for = ["event:", &queued.partner, ":", original_id].concat();
        return Err(Refused::Wait(Wait { reason: WaitReason::OriginalUnknown, waits_for, until }));
    };
    let (deposit, deposit_id) = match (what, original.event) {
        (Original::Deposit, EventType::DepositSuccess) => (original, original_id),
        (Original::Deposit, _) => return Err(DeadCause::OriginalIsNoDeposit.into()),
        (Original::Chargeback, EventType::Chargeback) => {
            // A chargeback has its deposit, unless that is over its retention.
            let deposit_id = original.original_event_id.as_ref().ok_or(DeadCause::OriginalPurged)?;
            let deposit = book.entries.get(&name(deposit_id)).ok_or(DeadCause::OriginalPurged)?;
            (deposit, deposit_id)
        }
        (Original::Chargeback, _) => return Err(DeadCause::OriginalIsNoChargeback.into()),
    };
    Ok(Some(Undone { what, original, original_id, deposit, deposit_id }))
}

/// How an event changes what is left of what it undoes.
struct Reversal {
    /// The entry that it names.
    original: i64,
    /// The chargeback's event id, where it undoes one, and by how much, above zero.
    chargeback: Option<(String, i64)>,
    /// The deposit's event id, and by how much more of it is left; below zero for a refund or a chargeback.
    deposit: (String, i64),
}

impl Plan {
    /// A registration or a KYC: the account knows more, and a deposit that had to wait for that may be the first one now.
    fn meet(
        &mut self,
        poster: &Poster<'_>,
        queued: &QueuedEvent,
        account: Option<&Account>,
    ) -> Result<(), Refused> {
        if queued.payload.account_id.is_none() {
            return Ok(());
        }
        let before = account;
        let mut account = account.cloned().unwrap_or_default();
        if queued.event == EventType::Registration {
            account.registered_at = account.registered_at.or(Some(queued.ts_event));
            if account.touch.is_none() {
                account.touch = Some(self.traced.touch.clone());
                account.attribution = Some(self.traced.attribution);
            }
        } else {
            account.kyc_at = account.kyc_at.or(Some(queued.ts_event));
        }
        let mut candidates = core::mem::take(&mut account.candidates);
        candidates.sort_by(|one, other| one.place().cmp(&other.place()));
        for candidate in candidates {
            let verdict = poster.judge(&candidate, false, Some(&account))?;
            if verdict == Verdict::First {
                self.crown(poster, &mut account, &candidate)?;
            }
            if !verdict.may_change() || verdict != poster.judge(&candidate, false, before)? {
                self.verdicts.push((candidate.id, verdict));
            }
            if verdict.may_change() {
                account.candidates.push(candidate);
            }
        }
        self.account = Some(account);
        Ok(())
    }

    fn deposit(
        &mut self,
        poster: &Poster<'_>,
        queued: &QueuedEvent,
        account: Option<&Account>,
    ) -> Result<(), Refused> {
        // The gate lets no deposit pass without its money.
        let Some(amount) = queued.payload.amount else { return Err(DeadCause::RowDamaged.into()) };
        self.money(poster, queued, amount, queued.payload.bonus)?;
        let mut account = match (&queued.payload.account_id, account) {
            (Some(_), account) => Some(account.cloned().unwrap_or_default()),
            (None, _) => None,
        };
        let deposit = DepositMade {
            id: queued.id,
            event_id: queued.event_id.clone(),
            ts_event: queued.ts_event,
            amount,
            attribution: self.traced.attribution,
        };
        let verdict = poster.judge(&deposit, queued.payload.bonus, account.as_ref())?;
        self.verdicts.push((queued.id, verdict));
        if let (Verdict::First, Some(account)) = (verdict, &mut account) {
            self.crown(poster, account, &deposit)?;
            self.account = Some(account.clone());
        } else if verdict.may_change() {
            self.candidate = Some(deposit);
        }
        if !queued.payload.bonus {
            let of = (queued.ts_event, self.traced.attribution);
            self.postings.extend(poster.revenue_share(of, queued.id, queued.ts_event, 0, amount)?);
        }
        Ok(())
    }

    /// Makes a deposit its player's first. One that was so far, and happened later, gives back what it brought.
    fn crown(
        &mut self,
        poster: &Poster<'_>,
        account: &mut Account,
        deposit: &DepositMade,
    ) -> Result<(), Refused> {
        let price = poster.cpa(deposit)?;
        let before = account.first_deposit.replace(FirstDeposit::new(deposit, price.clone()));
        self.first = Some((deposit.id, before.as_ref().map(|before| before.id)));
        if let Some(before) = before {
            self.verdicts.push((before.id, Verdict::NotTheFirst));
            self.postings.extend(before.price.map(|price| price.reversed(poster.cause)));
        }
        self.postings.extend(price);
        Ok(())
    }

    /// A refund, a chargeback, or a chargeback that was won back: income that changes sign, linked to what it undoes. What was
    /// counted as a conversion stays one.
    fn reverse(
        &mut self,
        poster: &Poster<'_>,
        queued: &QueuedEvent,
        undone: &Undone<'_>,
    ) -> Result<(), Refused> {
        let Undone { what, original, deposit, .. } = undone;
        let (Some(amount), Some((whole, gone)), Some((paid, taken_back))) =
            (queued.payload.amount, original.money, deposit.money)
        else {
            return Err(DeadCause::RowDamaged.into());
        };
        if whole.currency != amount.currency {
            return Err(DeadCause::CurrencyDiffers.into());
        }
        // Neither is below zero, and what is undone is never more than what there was.
        if amount.minor > whole.minor.saturating_sub(gone) {
            return Err(match what {
                Original::Deposit => DeadCause::OverRefund.into(),
                Original::Chargeback => DeadCause::OverReversal.into(),
            });
        }
        self.money(poster, queued, amount, deposit.bonus)?;
        let change = signed(&queued.event, amount).minor;
        if !deposit.bonus {
            let left = paid.minor.saturating_sub(taken_back);
            let after = Amount { minor: left.saturating_add(change), ..amount };
            let of = (deposit.ts_event, deposit.attribution);
            self.postings.extend(poster.revenue_share(of, queued.id, queued.ts_event, left, after)?);
        }
        self.reversal = Some(Reversal {
            original: original.id,
            chargeback: match what {
                Original::Deposit => None,
                Original::Chargeback => Some((undone.original_id.clone(), amount.minor)),
            },
            deposit: (undone.deposit_id.clone(), change),
        });
        Ok(())
    }

    /// An event of a declared type: its money, where it has any, is kept and is no revenue.
    fn custom(&mut self, poster: &Poster<'_>, queued: &QueuedEvent) -> Result<(), Refused> {
        match queued.payload.amount {
            Some(amount) => self.money(poster, queued, amount, false),
            None => Ok(()),
        }
    }

    /// The money of an event, with the sign and the kind that its type gives it.
    fn money(
        &mut self,
        poster: &Poster<'_>,
        queued: &QueuedEvent,
        amount: Amount,
        bonus: bool,
    ) -> Result<(), Refused> {
        if let Some(kind) = PostingKind::of_event(&queued.event, bonus) {
            let amount = signed(&queued.event, amount);
            self.postings.push(poster.posting(queued.id, kind, amount, queued.ts_event)?);
        }
        Ok(())
    }

    /// Notes the event in the book, and writes its rows.
    fn carry_out(self, book: &mut Book, queued: &QueuedEvent, rows: &mut SettlingRows) {
        let Traced { touch, attribution, matched_by } = self.traced;
        rows.entries.push((
            queued.id,
            touch.campaign.clone(),
            attribution.name(),
            attribution.score(),
            matched_by,
            self.account_id.clone(),
            self.reversal.as_ref().map(|reversal| reversal.original),
            queued.payload.is_ftd.map(u8::from),
        ));
        rows.postings.extend(self.postings);
        rows.verdicts.extend(self.verdicts.into_iter().map(|(entry, verdict)| (entry, queued.id, verdict)));
        if let Some(Reversal { chargeback, deposit, .. }) = self.reversal {
            let gone = chargeback.into_iter().chain([(deposit.0, 0_i64.saturating_sub(deposit.1))]);
            for (event_id, minor) in gone {
                let name = (queued.partner.clone(), event_id);
                if let Some((_, gone)) = book.entries.get_mut(&name).and_then(|entry| entry.money.as_mut()) {
                    *gone = gone.saturating_add(minor);
                }
            }
        }
        if let Some(account_id) = &queued.payload.account_id {
            let name = (queued.partner.clone(), account_id.clone());
            if let Some((entry, before)) = self.first {
                rows.crown(&name, entry, before);
            }
            if let Some(account) = self.account {
                if queued.event != EventType::DepositSuccess {
                    rows.accounts.push(account.row(&name));
                }
                if let Some(touch) = account.touch.as_ref().filter(|touch| touch.campaign.is_some()) {
                    book.taken.insert((name.0.clone(), touch.click_id.clone()));
                }
                book.accounts.insert(name.clone(), account);
            }
            if let Some(candidate) = self.candidate {
                book.accounts.entry(name).or_default().candidates.push(candidate);
            }
        }
        if let (Some(install_id), EventType::Install) = (&queued.payload.install_id, queued.event) {
            let name = (queued.partner.clone(), install_id.clone());
            // The first touch stands.
            if let Entry::Vacant(vacant) = book.installs.entry(name) {
                let install = Install { touch: touch.clone(), attribution };
                rows.installs.push(install.row(vacant.key()));
                vacant.insert(install);
            }
        }
        let posted = Posted {
            id: queued.id,
            payload_hash: queued.payload_hash,
            event: queued.event,
            ts_event: queued.ts_event,
            money: queued.payload.amount.map(|amount| (amount, 0)),
            original_event_id: queued.event.original().and(queued.payload.original_event_id.clone()),
            account_id: self.account_id,
            campaign: touch.campaign,
            attribution,
            bonus: queued.payload.bonus,
        };
        book.entries.insert((queued.partner.clone(), queued.event_id.clone()), posted);
    }
}
