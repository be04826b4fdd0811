//! Reads the arguments of options that are numbers and lists of words.

use std::fmt;
use std::ops::RangeInclusive;

use lvs_core::{SchedulerFlags, SchedulerName};

use crate::error::UsageError;

/// A decimal number in a range, as C's `strtol` reads it in base 10: spaces and a plus sign may stand before it.
pub(super) fn number<T: TryFrom<u64>>(
    option: impl fmt::Display,
    text: &str,
    range: RangeInclusive<u64>,
) -> Result<T, UsageError> {
    decimal(text)
        .filter(|number| range.contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            let (least, most) = range.into_inner();
            UsageError::usage(format!("{option}: {text:?} is no number from {least} to {most}"))
        })
}

/// A decimal number; nothing if it is none, or larger than 64 bits.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches([' ', '\t']);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    // `parse` takes a sign too.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Scheduler flags by their names, separated by commas. Those called after a scheduler go with that one alone.
pub(super) fn scheduler_flags(text: &str, scheduler: &SchedulerName) -> Result<SchedulerFlags, UsageError> {
    let mut flags = SchedulerFlags::default();
    for name in text.split(',').filter(|name| !name.is_empty()) {
        let (flag, owner) = match name {
            "flag-1" => (&mut flags.first, None),
            "flag-2" => (&mut flags.second, None),
            "flag-3" => (&mut flags.third, None),
            "sh-fallback" => (&mut flags.first, Some("sh")),
            "sh-port" => (&mut flags.second, Some("sh")),
            "mh-fallback" => (&mut flags.first, Some("mh")),
            "mh-port" => (&mut flags.second, Some("mh")),
            _ => {
                return Err(UsageError::usage(format!(
                    "-b: {name:?} is no scheduler flag; there are sh-fallback, sh-port, mh-fallback, mh-port, flag-1, \
                     flag-2 and flag-3, separated by commas"
                )));
            }
        };
        if let Some(owner) = owner.filter(|owner| *owner != scheduler.as_str()) {
            return Err(UsageError::usage(format!(
                "-b: {name} is a flag of scheduler {owner}, and this service has {scheduler}; write `-s {owner}`"
            )));
        }
        *flag = true;
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_strtol_does() {
        let weight = |text| number::<u32>("-w", text, 0..=2_147_483_647).ok();
        for (text, expected) in [
            ("0", Some(0)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("010", Some(10)),
            ("+5", Some(5)),
            (" 5", Some(5)),
            ("5 ", None),
            ("-1", None),
            ("+-1", None),
            ("++1", None),
            ("0x10", None),
            ("", None),
            ("+", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(weight(text), expected, "{text:?}");
        }
        let error = number::<u32>("-w", "-1", 0..=9).unwrap_err();
        assert_eq!(error.to_string(), "-w: \"-1\" is no number from 0 to 9");
    }

    #[test]
    fn flags_go_with_their_scheduler() {
        let flags = |text, scheduler: &str| scheduler_flags(text, &scheduler.parse().unwrap());
        let set = |first, second, third| SchedulerFlags { first, second, third };
        assert_eq!(flags("", "rr"), Ok(set(false, false, false)));
        assert_eq!(flags("sh-port,sh-fallback", "sh"), Ok(set(true, true, false)));
        assert_eq!(flags(",mh-port,", "mh"), Ok(set(false, true, false)));
        assert_eq!(flags("flag-1,flag-2,flag-3", "mh"), Ok(set(true, true, true)));
        assert!(flags("mh-port", "sh").unwrap_err().to_string().contains("write `-s mh`"));
        assert!(flags("SH-PORT", "sh").unwrap_err().to_string().contains("no scheduler flag"));
        assert!(flags("flag-4", "sh").is_err());
    }
}
