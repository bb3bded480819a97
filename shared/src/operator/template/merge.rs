//! What a node says once it is put together from several: YAML's merge keys, and SAM's `Globals`.

use saphyr::{Mapping, Yaml};

use super::{TemplateError, resolve::call};

/// YAML's merge key, which SAM follows and its parser leaves to others.
/// <https://yaml.org/type/merge.html>
const MERGE: &str = "<<";

/// Replaces each `<<` by the keys of its mapping, or of each in its list: keys of the mapping that
/// it stands in win, then those of the earlier one.
pub(super) fn flatten(node: Yaml<'_>) -> Result<Yaml<'_>, TemplateError> {
    match node {
        Yaml::Tagged(tag, node) => Ok(Yaml::Tagged(tag, Box::new(flatten(*node)?))),
        Yaml::Sequence(nodes) => {
            let nodes: Result<_, _> = nodes.into_iter().map(flatten).collect();
            nodes.map(Yaml::Sequence)
        }
        Yaml::Mapping(entries) => flatten_mapping(entries),
        other => Ok(other),
    }
}

fn flatten_mapping(entries: Mapping<'_>) -> Result<Yaml<'_>, TemplateError> {
    let mut own = Mapping::new();
    let mut merged = Vec::new();
    for (key, node) in entries {
        let node = flatten(node)?;
        if key.as_str() != Some(MERGE) {
            own.insert(key, node);
            continue;
        }
        match node {
            Yaml::Mapping(entries) => merged.push(entries),
            Yaml::Sequence(nodes) => {
                for node in nodes {
                    match node {
                        Yaml::Mapping(entries) => merged.push(entries),
                        _ => return Err(TemplateError::Merge),
                    }
                }
            }
            _ => return Err(TemplateError::Merge),
        }
    }
    for (key, node) in merged.into_iter().flatten() {
        own.entry(key).or_insert(node);
    }
    Ok(Yaml::Mapping(own))
}

/// A resource's properties with what they inherit, as SAM puts them together before anything is
/// resolved: mappings are merged, lists are joined, and of everything else, functions of
/// CloudFormation among it, the resource's own wins.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
pub(super) fn inherit<'input>(inherited: &Yaml<'input>, own: &Yaml<'input>) -> Yaml<'input> {
    if call(inherited).is_some() || call(own).is_some() {
        return own.clone();
    }
    match (inherited, own) {
        (Yaml::Mapping(inherited), Yaml::Mapping(own)) => {
            let mut merged = inherited.clone();
            for (key, own) in own {
                let node = match inherited.get(key) {
                    Some(inherited) => inherit(inherited, own),
                    None => own.clone(),
                };
                merged.insert(key.clone(), node);
            }
            Yaml::Mapping(merged)
        }
        (Yaml::Sequence(inherited), Yaml::Sequence(own)) => {
            Yaml::Sequence(inherited.iter().chain(own).cloned().collect())
        }
        _ => own.clone(),
    }
}
