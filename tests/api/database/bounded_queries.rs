//! Every checked query is bounded: an unbounded one is how the outage began.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use sqlparser::{
    ast::{
        BinaryOperator, Delete, Expr, FunctionArguments, GroupByExpr, InTarget, LimitClause, Query,
        Select, SelectItem, SetExpr, Statement, Value as Literal,
    },
    dialect::PostgreSqlDialect,
    parser::Parser,
};

/// The most rows that a constant limit may let through: a page of the longest list, and one more.
const MOST_ROWS: u32 = 201;

/// Aggregates make one row of any number. Others have to be added here by name.
const AGGREGATES: [&str; 7] = ["count", "sum", "avg", "min", "max", "bool_or", "bool_and"];

/// Columns that are unique together.
const UNIQUE: [&[&str]; 2] = [&["id"], &["subject", "route", "key"]];

/// Why a query is not bounded.
fn unbounded(sql: &str) -> Result<(), String> {
    // The parser knows only the stronger locks.
    let sql = sql.replace("for no key update", "for update");
    let sql = sql.replace("for key share", "for share");
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, &sql).map_err(|e| e.to_string())?;
    let [statement] = statements.as_slice() else {
        return Err(format!("{} statements in one", statements.len()));
    };
    match statement {
        Statement::Query(query) => bounded_query(query),
        Statement::Insert(insert) => match insert.source.as_deref().map(|query| &*query.body) {
            Some(SetExpr::Values(values)) if values.rows.len() == 1 => Ok(()),
            Some(SetExpr::Select(_)) => insert.source.as_deref().map_or(Ok(()), bounded_query),
            _ => Err("an insert must write one row, from values, or a bounded query's".to_owned()),
        },
        Statement::Update(update) if by_unique_key(update.selection.as_ref()) => Ok(()),
        Statement::Delete(delete) if by_unique_key(delete.selection.as_ref()) => Ok(()),
        Statement::Delete(Delete {
            selection: Some(condition),
            ..
        }) => batch(condition).map_or_else(
            || Err(format!("not known to be bounded: {statement}")),
            bounded_query,
        ),
        other => Err(format!("not known to be bounded: {other}")),
    }
}

/// The query that names the rows: `id in (select …)` or `ctid = any (array(select …))`.
fn batch(condition: &Expr) -> Option<&Query> {
    match condition {
        Expr::In {
            target: InTarget::Subquery(rows),
            negated: false,
            ..
        } => Some(rows),
        Expr::AnyOp {
            compare_op: BinaryOperator::Eq,
            right,
            ..
        } => match &**right {
            Expr::Function(array) if array.name.to_string() == "array" => match &array.args {
                FunctionArguments::Subquery(rows) => Some(rows),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn bounded_query(query: &Query) -> Result<(), String> {
    if let Some(with) = &query.with {
        let reads = |query: &Query| matches!(&*query.body, SetExpr::Select(_));
        if !with.cte_tables.iter().all(|table| reads(&table.query)) {
            return Err("a with clause may only read".to_owned());
        }
    }
    match &query.limit_clause {
        Some(
            LimitClause::LimitOffset {
                offset: Some(_), ..
            }
            | LimitClause::OffsetCommaLimit { .. },
        ) => Err("pages continue behind a cursor, not at an offset".to_owned()),
        Some(LimitClause::LimitOffset {
            limit: Some(limit), ..
        }) => match limit {
            Expr::Value(value) => match &value.value {
                Literal::Placeholder(_) => Ok(()),
                Literal::Number(rows, _)
                    if rows.parse().is_ok_and(|rows: u32| rows <= MOST_ROWS) =>
                {
                    Ok(())
                }
                other => Err(format!("limit {other} is no constant and no parameter")),
            },
            other => Err(format!("limit {other} is no constant and no parameter")),
        },
        _ => match &*query.body {
            SetExpr::Select(select) if one_row(select) => Ok(()),
            SetExpr::Select(select)
                if by_unique_key(select.selection.as_ref())
                    && select.from.len() == 1
                    && select.from[0].joins.is_empty() =>
            {
                Ok(())
            }
            _ => Err(
                "no limit at the top, no plain aggregate, no look-up by a unique key".to_owned(),
            ),
        },
    }
}

/// Aggregates alone, and no grouping: one row.
fn one_row(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    ungrouped
        && !select.projection.is_empty()
        && select.projection.iter().all(|item| {
            let (SelectItem::UnnamedExpr(expression)
            | SelectItem::ExprWithAlias {
                expr: expression, ..
            }) = item
            else {
                return false;
            };
            matches!(expression, Expr::Function(function)
            if function.over.is_none()
                && matches!(function.args, FunctionArguments::List(_))
                && AGGREGATES.contains(&function.name.to_string().to_lowercase().as_str()))
        })
}

/// `id = $1`, perhaps with more conditions beside it.
fn by_unique_key(selection: Option<&Expr>) -> bool {
    let mut columns = BTreeSet::new();
    if let Some(condition) = selection {
        fixed_columns(condition, &mut columns);
    }
    UNIQUE
        .iter()
        .any(|key| key.iter().all(|column| columns.contains(*column)))
}

/// The columns that a condition compares with a parameter, all of them at once.
fn fixed_columns(condition: &Expr, columns: &mut BTreeSet<String>) {
    let Expr::BinaryOp { left, op, right } = condition else {
        return;
    };
    match op {
        BinaryOperator::And => {
            fixed_columns(left, columns);
            fixed_columns(right, columns);
        }
        BinaryOperator::Eq => {
            let name = match &**left {
                Expr::Identifier(name) => Some(name),
                Expr::CompoundIdentifier(parts) => parts.last(),
                _ => None,
            };
            let parameter = matches!(&**right, Expr::Value(value) if matches!(value.value, Literal::Placeholder(_)));
            if let (Some(name), true) = (name, parameter) {
                columns.insert(name.value.clone());
            }
        }
        _ => {}
    }
}

/// The checked queries in the source: each has a file in `.sqlx/`.
pub(super) fn checked_queries() -> usize {
    fn in_folder(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| {
                if path.is_dir() {
                    in_folder(&path)
                } else {
                    in_file(&path)
                }
            })
            .sum()
    }
    fn in_file(path: &Path) -> usize {
        let text = fs::read_to_string(path).unwrap();
        let macros = [
            "query!(",
            "query_as!(",
            "query_scalar!(",
            "query_file!(",
            "query_file_as!(",
            "query_file_scalar!(",
        ];
        macros.iter().map(|name| text.matches(name).count()).sum()
    }
    in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src"))
}

#[test]
fn every_checked_query_is_bounded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let mut queries = 0;
    for entry in fs::read_dir(folder).expect(".sqlx") {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let described: Value = serde_json::from_str(&text).unwrap();
        let sql = described["query"].as_str().unwrap();
        if let Err(why) = unbounded(sql) {
            panic!("{why}:\n{sql}");
        }
        queries += 1;
    }
    assert_eq!(queries, checked_queries());
}

#[test]
fn the_check_tells_bounded_from_unbounded() {
    for bounded in [
        "select id from doctors order by id limit $1",
        "select id from doctors limit 200",
        "select count(*), max(starts_at) from appointments where starts_at >= $1 and starts_at < $2",
        "select full_name from patients where id = $1",
        "select full_name from patients p where p.id = $1 and active",
        "insert into doctors (full_name) values ($1) returning id",
        "update doctors set active = false where id = $1",
        "delete from time_off where doctor_id = $2 and id = $1",
        "update idempotency_keys set status = $4 where subject = $1 and route = $2 and key = $3",
        "insert into appointment_changes (action) select status from appointments where id = $1 limit 1",
        "delete from time_off where (id) in (select id from time_off order by ends_at limit $1)",
        "delete from time_off where ctid = any (array(select ctid from time_off limit $1))",
    ] {
        assert_eq!(unbounded(bounded), Ok(()), "{bounded}");
    }
    for boundless in [
        "select id from doctors",
        "select id from doctors limit all",
        "select id from doctors limit (select count(*) from doctors)",
        "select id from doctors limit $1 offset $2",
        "select * from (select id from doctors limit 5) a cross join patients",
        "select status, count(*) from appointments group by status",
        "select id, count(*) over () from appointments",
        "select id from appointments where doctor_id = $1",
        "select a.id from appointments a join patients p on true where p.id = $1",
        "select id from doctors where id = $1 or active",
        "insert into doctors select * from doctors",
        "update idempotency_keys set status = $4 where subject = $1 and route = $2",
        "delete from time_off where (id) in (select id from time_off)",
        "delete from time_off where ctid = any (array(select ctid from time_off))",
        "delete from time_off where ctid <> all (array(select ctid from time_off limit 1))",
        "delete from time_off where id not in (select id from time_off limit 1)",
        "update appointments set status = 'cancelled' where doctor_id = $1",
        "delete from appointments",
        "select id from doctors limit 1000000",
        "with gone as (delete from appointments returning id) select id from gone limit 1",
        "select 1; select 2",
    ] {
        assert!(unbounded(boundless).is_err(), "{boundless}");
    }
}
