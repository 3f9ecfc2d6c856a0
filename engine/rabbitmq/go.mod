module github.com/troupe-go/troupe/engine/rabbitmq

go 1.26.0

require (
	github.com/rabbitmq/amqp091-go v1.16.0
	github.com/troupe-go/troupe v0.0.0
)

replace github.com/troupe-go/troupe => ../..
