//! The closed list of event types (source §4, §8). A new type needs an arm in each match below, and in each match of the ledger.

use crate::text::Text;

/// The name of an event's type: 1 to 64 of `a-z`, `0-9` and `_`.
pub type EventName = Text<64>;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What kind of event it is: built in, or declared by the partner's rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventType {
            $($(#[$doc])* $variant,)*
            /// A type that the partner's rules declare.
            Custom(EventName),
        }

        impl EventType {
            /// The types that every partner may send.
            pub const BUILT_IN: &[Self] = &[$(Self::$variant,)*];

            /// The type of that name. A name that is not built in is a declared one: whether it is declared is for
            /// [`EventType::demands`] to say.
            #[must_use]
            pub fn named(name: EventName) -> Self {
                match name.as_str() {
                    $($name => Self::$variant,)*
                    _ => Self::Custom(name),
                }
            }

            /// Its name, as senders write it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Custom(name) => name.as_str(),
                }
            }
        }
    };
}

event_types! {
    /// A player registered.
    Registration => "registration",
    /// A player's identity was checked.
    KycApproved => "kyc_approved",
    /// A player paid in.
    DepositSuccess => "deposit_success",
    /// The operator gave a deposit back, or a part of it.
    Refund => "refund",
    /// The player's bank took a deposit back, or a part of it.
    Chargeback => "chargeback",
    /// The operator won the dispute: the bank gave a chargeback back, or a part of it.
    ChargebackReversed => "chargeback_reversed",
    /// An app was installed.
    Install => "install",
}

/// An event type that a partner has beside the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomEvent {
    /// Its name.
    pub name: EventName,
    /// Whether it carries `amount` and `currency`.
    pub amount: Presence,
}

/// Whether an event type has a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must not be there.
    None,
    /// It may be there.
    Optional,
    /// It must be there.
    Required,
}

/// What an event undoes, by its `original_event_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Original {
    /// A deposit.
    Deposit,
    /// A chargeback.
    Chargeback,
}

/// What the amount of an event does to the revenue that its deposit brought. The amount itself is never below zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It adds.
    Plus,
    /// It takes away.
    Minus,
}

/// What an event type demands beyond the members that all types have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Whether it carries `amount` and `currency`.
    pub amount: Presence,
    /// What it undoes: that event has to be named, and the amount is more than zero, since to undo nothing is a mistake of
    /// the sender's.
    pub original: Option<Original>,
}

impl Demands {
    /// What a type demands that is not known, or that demands nothing.
    pub const PLAIN: Self = Self { amount: Presence::Optional, original: None };
}

impl EventType {
    /// Its name as a value.
    #[must_use]
    pub fn name(&self) -> EventName {
        // Every built-in name fits.
        Text::new(self.as_str()).unwrap_or_default()
    }

    /// What it demands of an event of a partner that declares the types of `custom`; `None` where it is not among them.
    #[must_use]
    pub fn demands(&self, custom: &[CustomEvent]) -> Option<Demands> {
        let amount = match self {
            Self::Registration | Self::KycApproved | Self::Install => Presence::Optional,
            // Zero is an amount: the bonus "zero" replenishment of source §8 is an event, though never a first deposit.
            Self::DepositSuccess | Self::Refund | Self::Chargeback | Self::ChargebackReversed => {
                Presence::Required
            }
            Self::Custom(name) => custom.iter().find(|declared| declared.name == *name)?.amount,
        };
        Some(Demands { amount, original: self.original() })
    }

    /// What it undoes.
    #[must_use]
    pub const fn original(&self) -> Option<Original> {
        match self {
            Self::Refund | Self::Chargeback => Some(Original::Deposit),
            Self::ChargebackReversed => Some(Original::Chargeback),
            Self::Registration
            | Self::KycApproved
            | Self::DepositSuccess
            | Self::Install
            | Self::Custom(_) => None,
        }
    }

    /// What its amount does to revenue; `None` where its money, if it has any, is no part of revenue.
    #[must_use]
    pub const fn sign(&self) -> Option<Sign> {
        match self {
            Self::DepositSuccess | Self::ChargebackReversed => Some(Sign::Plus),
            Self::Refund | Self::Chargeback => Some(Sign::Minus),
            Self::Registration | Self::KycApproved | Self::Install | Self::Custom(_) => None,
        }
    }
}
