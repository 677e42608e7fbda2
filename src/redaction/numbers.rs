//! Finds numbers that are secret because of their form and check digits: cards, accounts, US social security
//! numbers.

use std::ops::Range;

use super::finding::{Rule, Secret};

/// Finds a card number or a social security number that begins a run.
pub(super) fn number(text: &str, run: Range<usize>) -> Option<Secret> {
    // `0.4111…` is a fraction, and `a.4111…` part of a name.
    let before = text.as_bytes().get(run.start.wrapping_sub(1));
    if before == Some(&b'.') {
        return None;
    }
    if run.len() == 11
        && let Some(range) = ssn(text, run.clone())
    {
        return Some(Secret::value(range, Rule::Ssn));
    }
    card(text, run.start).map(|range| Secret::value(range, Rule::Card))
}

/// The issuers of cards: a range of first digits, and the lengths of their numbers.
const ISSUERS: [(u32, u32, &[usize]); 33] = [
    // Visa
    (4, 4, &[13, 16, 19]),
    // Mastercard
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    // American Express
    (34, 34, &[15]),
    (37, 37, &[15]),
    // Diners Club
    (300, 305, &[14, 16]),
    (3095, 3095, &[14, 16]),
    (36, 36, &[14, 16]),
    (38, 39, &[14, 16]),
    // Discover
    (6011, 6011, &[16, 19]),
    (644, 649, &[16, 19]),
    (65, 65, &[16, 19]),
    // JCB
    (3528, 3589, &[16, 17, 18, 19]),
    // UnionPay
    (62, 62, &[16, 17, 18, 19]),
    // Mir
    (2200, 2204, &[16, 17, 18, 19]),
    // Maestro
    (6759, 6763, &[16, 18, 19]),
    (6767, 6771, &[16, 18, 19]),
    (6799, 6799, &[16, 18, 19]),
    (5018, 5038, &[16, 18, 19]),
    (56, 58, &[16, 18, 19]),
    (6304, 6304, &[16, 18, 19]),
    (6390, 6390, &[16, 18, 19]),
    // Elo
    (5041, 5041, &[16]),
    (5066, 5067, &[16]),
    (5090, 5090, &[16]),
    // Elo and Interpayment; Instapayment
    (636, 639, &[16, 19]),
    // Hipercard
    (6062, 6062, &[16]),
    // RuPay
    (508, 508, &[16]),
    (81, 82, &[16]),
    // Verve
    (5060, 5061, &[16, 18, 19]),
    // Uzcard and Humo
    (8600, 8600, &[16]),
    (9860, 9860, &[16]),
    // Troy
    (9792, 9792, &[16]),
];

/// Finds a card number at `start`.
///
/// It has the length and the first digits of an issuer, with single spaces, dashes, dots or underscores
/// between its digits, and passes the Luhn check.
pub(super) fn card(text: &str, start: usize) -> Option<Range<usize>> {
    let mut digits = [0_u8; 19];
    let mut count = 0;
    let mut end = start;
    let mut separated = false;
    for (offset, byte) in text.as_bytes().get(start..)?.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                // In groups, the next group may be another number: `4111 1111 1111 1111 123`.
                if separated && is_card(digits.get(..count)?) {
                    break;
                }
                *digits.get_mut(count)? = byte - b'0';
                count += 1;
                end = start + offset + 1;
                separated = false;
            }
            b' ' | b'-' | b'_' if !separated && count > 0 => separated = true,
            // Elsewhere a dot ends a sentence, or begins a fraction.
            b'.' if !separated && count > 0 && count.is_multiple_of(4) && count < 16 => separated = true,
            _ if byte.is_ascii_alphabetic() && !separated => return None,
            _ => break,
        }
    }
    is_card(digits.get(..count)?).then_some(start..end)
}

/// Whether these digits are a card's.
pub(super) fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let first = |count: usize| digits.iter().take(count).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    let places = |number: u32| number.checked_ilog10().unwrap_or_default() as usize + 1;
    let issuer = ISSUERS.iter().any(|(from, to, lengths)| lengths.contains(&digits.len()) && (*from..=*to).contains(&first(places(*from))));
    issuer && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, double) if double > 9 => double - 9,
                (_, double) => double,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number in JSON is a card's.
pub(super) fn is_card_text(text: &str) -> bool {
    let digits = text.split_once('.').map_or(text, |(whole, _)| whole);
    let mut values = [0_u8; 19];
    if digits.len() > values.len() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    values.iter_mut().zip(digits.bytes()).for_each(|(slot, byte)| *slot = byte - b'0');
    values.get(..digits.len()).is_some_and(is_card)
}

/// A social security number: `123-45-6789`, without the numbers that are never issued.
fn ssn(text: &str, run: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes().get(run.clone())?;
    let is_form = bytes.iter().enumerate().all(|(place, byte)| if matches!(place, 3 | 6) { *byte == b'-' } else { byte.is_ascii_digit() });
    let part =
        |range: Range<usize>| bytes.get(range).and_then(|part| std::str::from_utf8(part).ok()?.parse::<u32>().ok()).unwrap_or_default();
    let (area, group, serial) = (part(0..3), part(4..6), part(7..11));
    (is_form && !matches!(area, 0 | 666 | 900..) && group > 0 && serial > 0).then_some(run)
}

/// The countries that have these account numbers, and their lengths.
const COUNTRIES: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21\
    HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22\
    SA24SC31SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";

/// Finds an account number (IBAN): its country's length, in groups or not, and its check digits.
pub(super) fn iban(text: &str, run: Range<usize>) -> Option<Secret> {
    let bytes = text.as_bytes();
    let [country, check] = bytes.get(run.start..)?.first_chunk::<4>()?.as_chunks::<2>().0 else { return None };
    if !country.iter().all(u8::is_ascii_uppercase) || !check.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let rows = COUNTRIES.as_bytes().chunks(4);
    let len = rows.filter_map(|row| row.split_first_chunk::<2>()).find(|(known, _)| *known == country)?.1;
    let len: usize = std::str::from_utf8(len).ok()?.parse().ok()?;
    let mut letters = [0_u8; 34];
    let mut count = 0;
    let mut end = run.start;
    for (offset, byte) in bytes.get(run.start..)?.iter().enumerate() {
        match byte {
            _ if count == len => break,
            b'0'..=b'9' | b'A'..=b'Z' => {
                *letters.get_mut(count)? = *byte;
                count += 1;
                end = run.start + offset + 1;
            }
            b' ' | b'-' if count > 0 => {}
            _ => return None,
        }
    }
    let goes_on = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    if count < len || goes_on {
        return None;
    }
    let rest = letters.get(4..len)?.iter().chain(letters.get(..4)?).fold(0_u32, |rest, letter| {
        let value = char::from(*letter).to_digit(36).unwrap_or_default();
        (rest * if value > 9 { 100 } else { 10 } + value) % 97
    });
    (rest == 1).then(|| Secret::value(run.start..end, Rule::Iban))
}
