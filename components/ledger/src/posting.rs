//! What one event becomes: postings and a verdict, a wait, or a dead letter (source §3, §7, §8). Pure. Sums, counts and verdicts
//! are the same in whatever order the events arrive; docs/ledger.md lists the few things that are not.
//!
//! [`decide`] reads a [`Book`] with all that is known around a batch of events, and notes in it what it decides, so that the next
//! event of the batch finds it there. What it decides is written into a [`Settlement`], whose rows are those of the SQL view
//! `settling`.

use alloc::borrow::ToOwned as _;
use alloc::collections::btree_map::Entry;
use alloc::string::String;
use alloc::vec::Vec;

use countersign_core::money::Amount;
use countersign_core::time::Timestamp;

use crate::book::{Account, Arrival, Book, Candidate, FirstDeposit, Install, Posted, Touch};
use crate::decision::{Dead, Decision, Verdict, Wait};
use crate::fx::Unconverted;
use crate::poster::Poster;
use crate::rules::Rules;
use crate::settlement::{PostingRow, Settlement};
use crate::trace::{Traced, trace};

/// Decides one event at `now`, notes what it decides in `book`, and writes its rows.
pub fn decide(
    rules: &Rules,
    book: &mut Book,
    arrival: &Arrival,
    now: Timestamp,
    rows: &mut Settlement,
) -> Decision {
    let decision = match post(rules, book, arrival, now) {
        Ok(None) => Decision::Repeat,
        Ok(Some(plan)) => {
            plan.carry_out(book, arrival, rows);
            Decision::Post
        }
        Err(Refused::Wait(wait)) => Decision::Wait(wait),
        Err(Refused::Dead(dead)) => Decision::Dead(dead),
        Err(Refused::Unconverted(problem)) => unconverted(rules, arrival, now, problem),
    };
    match &decision {
        Decision::Post | Decision::Repeat => rows.done.push(arrival.id),
        Decision::Dead(dead) => {
            rows.done.push(arrival.id);
            rows.dead.push((arrival.id, dead.as_str(), dead.detail(), arrival.attempts));
        }
        // When it is due again is the caller's: that takes a random number.
        Decision::Wait(_) => {}
    }
    decision
}

/// Without a rate the event waits; a sum that is too large stays so.
fn unconverted(rules: &Rules, arrival: &Arrival, now: Timestamp, problem: Unconverted) -> Decision {
    match problem {
        Unconverted::OutOfRange => Decision::Dead(Dead::AmountOutOfRange),
        Unconverted::NoDay | Unconverted::NoQuote { .. } => {
            let until = arrival.received_at.plus_ms(rules.patience.rate_ms);
            if now < until {
                Decision::Wait(Wait { reason: "rate_unknown", waits_for: "rate".to_owned(), until })
            } else {
                Decision::Dead(Dead::RateUnknown)
            }
        }
    }
}

enum Refused {
    Wait(Wait),
    Dead(Dead),
    /// It needs a rate, and there is none; or the sum is too large.
    Unconverted(Unconverted),
}

impl From<Wait> for Refused {
    fn from(wait: Wait) -> Self {
        Self::Wait(wait)
    }
}

impl From<Dead> for Refused {
    fn from(dead: Dead) -> Self {
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
    original: Option<(String, i64, i64)>,
    postings: Vec<PostingRow>,
    verdicts: Vec<(i64, Verdict)>,
    /// The first deposit, and the one that was it so far.
    first: Option<(i64, Option<i64>)>,
    account: Option<Account>,
    candidate: Option<Candidate>,
}

fn post(rules: &Rules, book: &Book, arrival: &Arrival, now: Timestamp) -> Result<Option<Plan>, Refused> {
    let name = (arrival.partner.clone(), arrival.event_id.clone());
    let posted = book.entries.get(&name).map(|posted| &posted.payload_hash);
    if let Some(payload_hash) = posted.or_else(|| book.purged.get(&name)) {
        return if *payload_hash == arrival.payload_hash {
            Ok(None)
        } else {
            Err(Dead::EventIdReused.into())
        };
    }
    let account_name =
        arrival.payload.account_id.clone().map(|account_id| (arrival.partner.clone(), account_id));
    let account = account_name.as_ref().and_then(|name| book.accounts.get(name));
    // What takes back a deposit is booked where the deposit is, or net revenue would go below zero there and stay too high here.
    let taken_back = match arrival.event.as_str() {
        "refund" | "chargeback" => Some(original(rules, book, arrival, now)?),
        _ => None,
    };
    let traced = match taken_back {
        Some(deposit) => Traced {
            touch: Touch { click_id: arrival.click_id.clone(), campaign: deposit.campaign.clone() },
            attribution: deposit.attribution,
            matched_by: None,
        },
        None => trace(rules, book, arrival, now)?,
    };
    let account_id = taken_back.map_or(&arrival.payload.account_id, |deposit| &deposit.account_id).clone();
    let mut plan = Plan {
        traced,
        account_id,
        original: None,
        postings: Vec::new(),
        verdicts: Vec::new(),
        first: None,
        account: None,
        candidate: None,
    };
    let poster = Poster::new(rules, &arrival.partner, &book.rates, arrival.id);
    match (arrival.event.as_str(), taken_back) {
        (_, Some(deposit)) => plan.take_back(&poster, arrival, deposit)?,
        ("registration" | "kyc_approved", None) => plan.meet(&poster, arrival, account)?,
        ("deposit_success", None) => plan.deposit(&poster, arrival, account)?,
        ("install", None) => {}
        (_, None) => plan.custom(&poster, arrival)?,
    }
    Ok(Some(plan))
}

/// What a refund or a chargeback takes back; it waits for it.
fn original<'b>(
    rules: &Rules,
    book: &'b Book,
    arrival: &Arrival,
    now: Timestamp,
) -> Result<&'b Posted, Refused> {
    let (Some(_), Some(original_id)) = (arrival.payload.amount, &arrival.payload.original_event_id) else {
        return Err(Dead::RowDamaged.into());
    };
    let name = (arrival.partner.clone(), original_id.clone());
    if let Some(original) = book.entries.get(&name) {
        return Ok(original);
    }
    if book.purged.contains_key(&name) {
        return Err(Dead::OriginalPurged.into());
    }
    let until = arrival.received_at.plus_ms(rules.patience.original_ms);
    if now >= until {
        return Err(Dead::OriginalUnknown.into());
    }
    let waits_for = ["event:", &arrival.partner, ":", original_id].concat();
    Err(Refused::Wait(Wait { reason: "original_unknown", waits_for, until }))
}

impl Plan {
    /// A registration or a KYC: the account knows more, and a deposit that had to wait for that may be the first one now.
    fn meet(
        &mut self,
        poster: &Poster<'_>,
        arrival: &Arrival,
        account: Option<&Account>,
    ) -> Result<(), Refused> {
        if arrival.payload.account_id.is_none() {
            return Ok(());
        }
        let before = account;
        let mut account = account.cloned().unwrap_or_default();
        if arrival.event == "registration" {
            account.registered_at = account.registered_at.or(Some(arrival.ts_event));
            if account.touch.is_none() {
                account.touch = Some(self.traced.touch.clone());
                account.attribution = Some(self.traced.attribution);
            }
        } else {
            account.kyc_at = account.kyc_at.or(Some(arrival.ts_event));
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
        arrival: &Arrival,
        account: Option<&Account>,
    ) -> Result<(), Refused> {
        // The gate lets no deposit pass without its money.
        let Some(amount) = arrival.payload.amount else { return Err(Dead::RowDamaged.into()) };
        let kind = if arrival.payload.bonus { "bonus" } else { "deposit" };
        self.postings.push(poster.posting(arrival.id, kind, amount, arrival.ts_event)?);
        let mut account = match (&arrival.payload.account_id, account) {
            (Some(_), account) => Some(account.cloned().unwrap_or_default()),
            (None, _) => None,
        };
        let deposit = Candidate {
            id: arrival.id,
            event_id: arrival.event_id.clone(),
            ts_event: arrival.ts_event,
            amount,
            attribution: self.traced.attribution,
        };
        let verdict = poster.judge(&deposit, arrival.payload.bonus, account.as_ref())?;
        self.verdicts.push((arrival.id, verdict));
        if let (Verdict::First, Some(account)) = (verdict, &mut account) {
            self.crown(poster, account, &deposit)?;
            self.account = Some(account.clone());
        } else if verdict.may_change() {
            self.candidate = Some(deposit);
        }
        if !arrival.payload.bonus {
            let of = (arrival.ts_event, self.traced.attribution);
            self.postings.extend(poster.revenue_share(of, arrival.id, arrival.ts_event, 0, amount)?);
        }
        Ok(())
    }

    /// Makes a deposit its player's first. One that was so far, and happened later, gives back what it brought.
    fn crown(
        &mut self,
        poster: &Poster<'_>,
        account: &mut Account,
        deposit: &Candidate,
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

    /// A refund or a chargeback: negative income, linked to the deposit. What was counted as a conversion stays one.
    fn take_back(
        &mut self,
        poster: &Poster<'_>,
        arrival: &Arrival,
        original: &Posted,
    ) -> Result<(), Refused> {
        let (Some(amount), Some(original_id)) = (arrival.payload.amount, &arrival.payload.original_event_id)
        else {
            return Err(Dead::RowDamaged.into());
        };
        let Some((paid, taken_back)) = original.money.filter(|_| original.event == "deposit_success") else {
            return Err(Dead::OriginalIsNoDeposit.into());
        };
        if paid.currency != amount.currency {
            return Err(Dead::CurrencyDiffers.into());
        }
        // Neither is below zero, and what is taken back is never more than what was paid.
        let left = paid.minor.saturating_sub(taken_back);
        if amount.minor > left {
            return Err(Dead::OverRefund.into());
        }
        // A bonus was no income, so it is no loss either.
        let kind = match (original.bonus, arrival.event.as_str()) {
            (true, _) => "bonus",
            (false, "refund") => "refund",
            (false, _) => "chargeback",
        };
        let negative = Amount { minor: 0_i64.saturating_sub(amount.minor), currency: amount.currency };
        self.postings.push(poster.posting(arrival.id, kind, negative, arrival.ts_event)?);
        if !original.bonus {
            let after = Amount { minor: left.saturating_sub(amount.minor), ..amount };
            let of = (original.ts_event, self.traced.attribution);
            self.postings.extend(poster.revenue_share(of, arrival.id, arrival.ts_event, left, after)?);
        }
        self.original = Some((original_id.clone(), original.id, amount.minor));
        Ok(())
    }

    /// An event of a declared type: its money, where it has any, is kept and is no revenue.
    fn custom(&mut self, poster: &Poster<'_>, arrival: &Arrival) -> Result<(), Refused> {
        if let Some(amount) = arrival.payload.amount {
            self.postings.push(poster.posting(arrival.id, "custom", amount, arrival.ts_event)?);
        }
        Ok(())
    }

    /// Notes the event in the book, and writes its rows.
    fn carry_out(self, book: &mut Book, arrival: &Arrival, rows: &mut Settlement) {
        let Traced { touch, attribution, matched_by } = self.traced;
        rows.entries.push((
            arrival.id,
            touch.campaign.clone(),
            attribution.as_str(),
            attribution.score(),
            matched_by,
            self.account_id.clone(),
            self.original.as_ref().map(|(_, id, _)| *id),
            arrival.payload.is_ftd.map(u8::from),
        ));
        rows.postings.extend(self.postings);
        rows.verdicts
            .extend(self.verdicts.into_iter().map(|(entry, verdict)| (entry, arrival.id, verdict.as_str())));
        if let Some((original_id, _, minor)) = self.original
            && let Some(original) = book.entries.get_mut(&(arrival.partner.clone(), original_id))
            && let Some((_, taken_back)) = &mut original.money
        {
            *taken_back = taken_back.saturating_add(minor);
        }
        if let Some(account_id) = &arrival.payload.account_id {
            let name = (arrival.partner.clone(), account_id.clone());
            if let Some((entry, before)) = self.first {
                rows.crown(&name, entry, before);
            }
            if let Some(account) = self.account {
                if arrival.event != "deposit_success" {
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
        if let (Some(install_id), "install") = (&arrival.payload.install_id, arrival.event.as_str()) {
            let name = (arrival.partner.clone(), install_id.clone());
            // The first touch stands.
            if let Entry::Vacant(vacant) = book.installs.entry(name) {
                let install = Install { touch: touch.clone(), attribution };
                rows.installs.push(install.row(vacant.key()));
                vacant.insert(install);
            }
        }
        let posted = Posted {
            id: arrival.id,
            payload_hash: arrival.payload_hash,
            event: arrival.event.clone(),
            ts_event: arrival.ts_event,
            money: arrival.payload.amount.map(|amount| (amount, 0)),
            account_id: self.account_id,
            campaign: touch.campaign,
            attribution,
            bonus: arrival.payload.bonus,
        };
        book.entries.insert((arrival.partner.clone(), arrival.event_id.clone()), posted);
    }
}
