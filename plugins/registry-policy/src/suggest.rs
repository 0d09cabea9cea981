//! Suggestions for misspelled words.

/// `; did you mean ...?` if a word of `known` is similar, otherwise all words of `known`.
pub(crate) fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest =
        known.clone().map(|known| (distance(word, known), known)).min_by_key(|(distance, _)| *distance);
    match nearest {
        // Up to a third of the letters may differ; anything beyond that would be a guess.
        Some((distance, near)) if distance <= near.len().max(word.len()).max(3) / 3 => {
            format!("; did you mean {near:?}?")
        }
        _ => format!("; expected one of: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The Levenshtein distance: the number of letters to insert, delete or replace to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = std::mem::replace(&mut row[0], left);
        for (j, b) in to.chars().enumerate() {
            let above = row[j + 1];
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = std::mem::replace(&mut row[j + 1], left);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("rule", "rules", 1),
            ("kitten", "sitting", 3),
            ("ß", "s", 1),
        ] {
            assert_eq!((distance(from, to), distance(to, from)), (expected, expected), "{from} {to}");
        }
    }

    #[test]
    fn only_a_similar_word_is_suggested() {
        let known = ["allow", "deny"].into_iter();
        assert_eq!(suggest("alow", known.clone()), "; did you mean \"allow\"?");
        assert_eq!(suggest("maybe", known), "; expected one of: allow, deny");
        assert_eq!(suggest("registries", ["registry", "tag"].into_iter()), "; did you mean \"registry\"?");
    }
}
