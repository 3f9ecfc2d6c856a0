package main

// OrderPlaced begins the life of an order, on orders.placed.
type OrderPlaced struct {
	ID       string
	Customer string
	Item     string
	Quantity int
}

// OrderPaid is on orders.paid, once the gateway has charged the customer.
type OrderPaid struct {
	Order OrderPlaced
	Cents int
}

// OrderShipped is on orders.shipped, once the carrier has the parcel.
type OrderShipped struct {
	ID       string
	Customer string
}

// OrderOverdue is on orders.overdue, when an order has not been paid in time.
type OrderOverdue struct {
	ID       string
	Customer string
}

// PriceAsked is a request, on prices.asked. The answer is a Price.
type PriceAsked struct{ Item string }

// Price is of one piece.
type Price struct {
	Cents int
	Known bool // false: there is no such item
}

// Mail is to be sent, on mails.requested.
type Mail struct{ To, Text string }
