//! What of the command line may not be repeated: terminals and CI logs are read by others.

/// A message with user and password of every URL among the arguments left out. They may be where no
/// URL belongs, as an argument that nothing asked for, and the refusal says what it was.
pub(crate) fn hidden(message: &str, arguments: &[String]) -> String {
    let mut message = message.to_owned();
    for argument in arguments {
        let Some((_, rest)) = argument.split_once("://") else {
            continue;
        };
        // A password may hold any character, an @ among them.
        if let Some((secret, _)) = rest.rsplit_once('@')
            && !secret.is_empty()
        {
            message = message.replace(&format!("://{secret}@"), "://…@");
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_loses_who_logs_in() {
        let url = "postgresql://u:hush@@h/d?sslmode=require".to_owned();
        let arguments = ["watch".to_owned(), format!("--record={url}"), url.clone()];
        assert_eq!(
            hidden(&format!("unexpected argument '{url}'"), &arguments),
            "unexpected argument 'postgresql://…@h/d?sslmode=require'"
        );
        let plain = ["postgresql://@h/".to_owned(), "postgresql://o@h".to_owned()];
        assert_eq!(hidden("nothing to hide", &plain), "nothing to hide");
    }
}
