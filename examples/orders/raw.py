"""The raw files: orders of the shop, payments as the bank sends them, customers as of today."""

from streampro import Source

raw_orders = Source(
    name="raw_orders",
    files=("orders*.jsonl",),
    format="json_lines",
    fields={name: (name,) for name in ("order_id", "customer_id", "ordered_at", "amount")},
)

raw_payments = Source(
    name="raw_payments",
    files=("payments*.jsonl",),
    format="json_lines",
    fields={name: (name,) for name in ("payment_id", "order_id", "kind", "amount", "paid_on")},
    secret=("iban",),
)

raw_customers = Source(
    name="raw_customers",
    files=("customers.csv",),
    format="csv",
    fields={name: (name,) for name in ("customer_id", "segment", "customer_since", "credit_limit")},
)
