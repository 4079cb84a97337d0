"""StreamPro: every layer of a data pipeline written once as an Ibis expression, checked by a
contract, published as Delta tables.

```python
import streampro
from streampro.viewing import PIPELINE

target = streampro.load_target("local", raw="data/sample", warehouse="warehouse")
run = streampro.run(PIPELINE, target)
rows = streampro.sql("select * from answers.q1_engagement", target).to_pylist()
```

Functions take their arguments in one order: what is asked (a pipeline, a query or a
table), the target, then what they do with it.

Public are the names imported below; each is imported on first use, so that the command line
starts fast.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streampro.catalog.site import write_catalog as write_catalog
    from streampro.config import Target as Target, load_target as load_target
    from streampro.errors import (
        BooksError as BooksError,
        ComputationError as ComputationError,
        ConfigError as ConfigError,
        ContractError as ContractError,
        DataError as DataError,
        EngineError as EngineError,
        ExportError as ExportError,
        IncompleteRunError as IncompleteRunError,
        IncrementalError as IncrementalError,
        ParityError as ParityError,
        PipelineError as PipelineError,
        SourceError as SourceError,
        StreamProError as StreamProError,
        WarehouseError as WarehouseError,
    )
    from streampro.execution.progress import Watcher as Watcher
    from streampro.execution.runner import plan as plan, run as run, show as show
    from streampro.exports.export import export as export
    from streampro.exports.record import Exported as Exported
    from streampro.formats.csv.dialect import Dialect as Dialect
    from streampro.lineage.explain import Explanation as Explanation, explain as explain
    from streampro.modeling.contract import (
        Contract as Contract,
        Instant as Instant,
        column as column,
        rule as rule,
    )
    from streampro.modeling.model import (
        DUPLICATE as DUPLICATE,
        REJECT_COLUMNS as REJECT_COLUMNS,
        UNREADABLE as UNREADABLE,
        Export as Export,
        Model as Model,
        model as model,
    )
    from streampro.modeling.pipeline import Pipeline as Pipeline
    from streampro.modeling.quarantine import one_row_per_key as one_row_per_key
    from streampro.modeling.source import Limits as Limits, Source as Source
    from streampro.modeling.spec import typed as typed
    from streampro.modeling.sql.model import sql_model as sql_model
    from streampro.proofs.certificate import Certificate as Certificate
    from streampro.proofs.check_incremental import check_incremental as check_incremental
    from streampro.proofs.diff import RunDifference as RunDifference, diff as diff
    from streampro.proofs.mutation.mutate import MutationScore as MutationScore, mutate as mutate
    from streampro.proofs.prove import prove as prove
    from streampro.proofs.replay import Replay as Replay, replay as replay
    from streampro.report.page import write_report as write_report
    from streampro.warehouse.branches import (
        Branch as Branch,
        branches as branches,
        drop_branch as drop_branch,
        merge_branch as merge_branch,
        on_branch as on_branch,
    )
    from streampro.warehouse.contracts import Broken as Broken, test as test
    from streampro.warehouse.ledger import runs as runs
    from streampro.warehouse.published import (
        Published as Published,
        published as published,
        sql as sql,
    )
    from streampro.warehouse.run import Plan as Plan, Run as Run
    from streampro.warehouse.snapshot import spark_session as spark_session
    from streampro.warehouse.upkeep.forget import Forgotten as Forgotten, forget as forget
    from streampro.warehouse.upkeep.repair import Repaired as Repaired, repair as repair
    from streampro.warehouse.upkeep.retention import (
        Cleaned as Cleaned,
        clean as clean,
        rollback as rollback,
    )
    from streampro.warehouse.upkeep.verify import (
        Damage as Damage,
        Verified as Verified,
        verify as verify,
    )


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return [*_homes()]
    if name not in _homes():
        raise AttributeError(f"module 'streampro' has no attribute {name!r}")
    return getattr(import_module(_homes()[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_homes()]


@cache
def _homes() -> dict[str, str]:
    """Return the module of every public name, as the imports for type checkers state it."""
    import ast

    loader: Any = __spec__.loader
    tree = ast.parse(loader.get_data(__file__))
    imports = [
        each
        for block in tree.body
        if isinstance(block, ast.If)
        for each in block.body
        if isinstance(each, ast.ImportFrom) and each.module
    ]
    return {alias.name: str(each.module) for each in imports for alias in each.names}
