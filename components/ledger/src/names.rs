//! Closed lists of what rows say: an enum and its names are one table, so that neither can be without the other.

use alloc::string::String;

/// Names as a list for SQL: `'one', 'two'`. No name of ours has a quote in it.
pub(crate) fn sql<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut list = String::new();
    for name in names {
        list.push_str(if list.is_empty() { "'" } else { ", '" });
        list.push_str(name);
        list.push('\'');
    }
    list
}

/// Makes an enum without fields whose values have names, as they stand in rows and in answers.
macro_rules! names {
    ($(#[$outer:meta])* pub enum $enum:ident { $($(#[$doc:meta])* $variant:ident => $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn of(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl serde::Serialize for $enum {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use names;
