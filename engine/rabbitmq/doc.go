// Package rabbitmq keeps topics in RabbitMQ, 3.10 or later, over AMQP 0.9.1. It is a
// module of its own.
package rabbitmq
