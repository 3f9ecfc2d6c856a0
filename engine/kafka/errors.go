package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kinds tells what an error of the brokers is to the port. What is not here and can be
// retried is engine.ErrUnavailable, the rest is what it is.
var kinds = []struct {
	kind error
	fix  string
	errs []error
}{
	{engine.ErrUnauthorized, "check Config.SASL and Config.TLS", []error{
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
	}},
	{engine.ErrUnauthorized, "give this user the right to it in the cluster's ACLs", []error{
		kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed, kerr.SecurityDisabled,
	}},
	{engine.ErrTooLarge, "raise max.message.bytes of the topic and Config.MaxRecord, or keep what is large elsewhere", []error{
		kerr.MessageTooLarge, kerr.RecordListTooLarge,
	}},
	{engine.ErrNoTopic, "make it, or let the engine make it: Config.Existing is false then", []error{
		kerr.UnknownTopicOrPartition, kerr.UnknownTopicID,
	}},
	{engine.ErrFull, "the cluster limits how much it is asked: see its quotas", []error{
		kerr.ThrottlingQuotaExceeded, kgo.ErrMaxBuffered,
	}},
	{engine.ErrMismatch, "see Config.Partitions, Replicas and TopicConfig", []error{
		kerr.InvalidReplicationFactor, kerr.InvalidPartitions, kerr.InvalidConfig, kerr.PolicyViolation,
	}},
	{engine.ErrUnavailable, "enough replicas must be in sync for min.insync.replicas", []error{
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend,
	}},
	{engine.ErrUnavailable, "a broker cannot write: see its log and its disk", []error{
		kerr.KafkaStorageError,
	}},
	{engine.ErrUnavailable, "the brokers do not answer: see Config.Seeds, and whether they want TLS or SASL, or have closed the connection since they do not know the user", []error{
		kgo.ErrRecordTimeout, kgo.ErrRecordRetries, io.EOF, io.ErrUnexpectedEOF,
		context.DeadlineExceeded, context.Canceled,
	}},
	{engine.ErrUnavailable, "the group is dividing its partitions, it is tried again", []error{
		kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID,
	}},
	{engine.ErrClosed, "", []error{kgo.ErrClientClosed}},
}

// fault says of which kind an error is, of what, and what helps.
func fault(what string, err error) error {
	if err == nil {
		return nil
	}
	for _, k := range kinds {
		for _, e := range k.errs {
			if errors.Is(err, e) {
				return wrap(what, k.kind, err, k.fix)
			}
		}
	}
	// A certificate that we do not trust, or that does not trust us, does not pass.
	if certificate(err) {
		return wrap(what, engine.ErrUnauthorized, err, "check Config.TLS")
	}
	var eof *kgo.ErrFirstReadEOF
	var network net.Error
	if kerr.IsRetriable(err) || errors.As(err, &eof) || errors.As(err, &network) {
		return wrap(what, engine.ErrUnavailable, err, "see whether the brokers run, and Config.Seeds")
	}
	return fmt.Errorf("kafka: %s: %w", what, err)
}

func certificate(err error) bool {
	var verify *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var alert tls.AlertError
	return errors.As(err, &verify) || errors.As(err, &unknown) || errors.As(err, &alert)
}

func wrap(what string, kind, err error, fix string) error {
	if fix == "" {
		return fmt.Errorf("kafka: %s: %w: %w", what, kind, err)
	}
	return fmt.Errorf("kafka: %s: %w: %w (%s)", what, kind, err, fix)
}

// ended is the error of a call whose ctx has ended before the brokers answered: the
// cause, and that they did not.
func ended(what string, ctx context.Context) error {
	return fmt.Errorf("kafka: %s: %w: no answer from the brokers: %w", what, engine.ErrUnavailable, context.Cause(ctx))
}
