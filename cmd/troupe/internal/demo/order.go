package demo

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// OrderPlaced is on orders.placed.
type OrderPlaced struct {
	ID         string    `json:"id"`
	PlacedAt   time.Time `json:"placed_at"`
	Customer   Customer  `json:"customer"`
	Address    Address   `json:"address"`
	Items      []Item    `json:"items"`
	TotalCents int64     `json:"total_cents"`
	Currency   string    `json:"currency"`
	Coupon     string    `json:"coupon,omitempty"`
	Shipping   string    `json:"shipping"` // standard or express
	// Basket is a number that no float64 holds.
	Basket uint64 `json:"basket"`
}

// Customer is who has ordered.
type Customer struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

// Address is where it goes.
type Address struct {
	Street   string `json:"street"`
	City     string `json:"city"`
	Postcode string `json:"postcode"`
	Country  string `json:"country"`
}

// Item is what was ordered.
type Item struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitCents int64  `json:"unit_cents"`
}

// OrderPaid is on orders.paid.
type OrderPaid struct {
	OrderPlaced
	TaxCents  int64  `json:"tax_cents"`
	PaymentID string `json:"payment_id"`
}

// ParcelSent is on parcels.sent.
type ParcelSent struct {
	Order    string   `json:"order"`
	Tracking string   `json:"tracking"`
	Customer Customer `json:"customer"`
}

// Mail is on mails.requested.
type Mail struct {
	To       string `json:"to"`
	Template string `json:"template"`
	Order    string `json:"order"`
}

var (
	names   = []string{"Ada Moreau", "Ben Okafor", "Chiara Rossi", "Dmitri Sokol", "Elif Aydin", "Finn Larsen", "Grace Lee", "Hugo Martins"}
	catalog = []Item{
		{"TEA-ASSAM-250", "Assam, 250 g", 0, 890}, {"TEA-SENCHA-100", "Sencha, 100 g", 0, 1450}, {"POT-CAST-09", "Cast iron pot, 0.9 l", 0, 5250},
		{"KETTLE-VAR-12", "Kettle, variable temperature", 0, 8900}, {"CUP-PORC-4", "Four cups, porcelain", 0, 3200},
	}
	places = []Address{
		{"Hauptstrasse 12", "Berlin", "10827", "DE"}, {"Rue de Rivoli 88", "Paris", "75004", "FR"}, {"Via Garibaldi 5", "Torino", "10122", "IT"},
		{"Kungsgatan 31", "Stockholm", "111 56", "SE"}, {"Calle Mayor 40", "Madrid", "28013", "ES"},
	}
)

// order makes the nth order: the same for the same seed.
func (s *shop) order(n int, at time.Time) OrderPlaced {
	r := rand.New(rand.NewPCG(s.seed, uint64(n)))
	customer := r.IntN(4000)
	name := names[customer%len(names)]
	o := OrderPlaced{
		ID: fmt.Sprintf("SO-%06d", 481000+n), PlacedAt: at.UTC().Truncate(time.Millisecond),
		Customer: Customer{10_000 + customer, name, fmt.Sprintf("%c%d@example.com", name[0]|0x20, 10_000+customer)},
		Address:  places[r.IntN(len(places))], Currency: "EUR", Shipping: "standard", Basket: 9_007_199_254_740_993 + r.Uint64N(1<<40),
	}
	for range 1 + r.IntN(3) {
		item := catalog[r.IntN(len(catalog))]
		item.Quantity = 1 + r.IntN(4)
		o.Items = append(o.Items, item)
		o.TotalCents += item.UnitCents * int64(item.Quantity)
	}
	return o
}

// The ways in which an order goes wrong.
func swiss(o *OrderPlaced) {
	o.Address, o.Currency = Address{"Bahnhofstrasse 3", "Zürich", "8001", "CH"}, "CHF"
}

func noPostcode(o *OrderPlaced) {
	o.Address = Address{"12 Fenian Street", "Dublin 2", "", "IE"}
}

func express(o *OrderPlaced) { o.Shipping = "express" }

func typo(o *OrderPlaced) { o.Customer.Email = fmt.Sprintf("customer%d@gmial.com", o.Customer.ID) }

func negative(o *OrderPlaced) { o.Coupon = "WELCOME-100" }
