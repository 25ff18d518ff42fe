//! The word that was probably meant.

/// The word that was probably meant.
pub fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    // `warning` is `warn` at greater length, however many letters that takes.
    let longer = |k: &str| k.len() >= 4 && lower.starts_with(k);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= 1 + k.chars().count().min(word.chars().count()) / 4 || longer(k))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
