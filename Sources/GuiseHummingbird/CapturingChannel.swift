#if Hummingbird
    import Guise
    import GuiseNIO
    import HummingbirdCore
    import Logging
    import NIOCore

    /// The client of the connection whose requests the task serves; nil when none was captured.
    enum ServedClient {
        @TaskLocal static var current: Connection?
    }

    /// Sets up the channel of another protocol once it is known who is at its other end.
    struct CapturingChannel<Base: ServerChildChannel>: ServerChildChannel {
        struct Value: ServerChildChannelValue {
            let base: Base.Value
            let client: Connection?

            var channel: any Channel { base.channel }
        }

        let base: Base
        let authority: Authority?

        func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
            channel.captureClientOrStayOpen(authority: authority).map { $0 as Connection? }
                .recover { error in
                    logger.warning("the requests of a connection are refused: \(error)")
                    return nil
                }
                .flatMap { client in
                    base.setup(channel: channel, logger: logger).map { Value(base: $0, client: client) }
                }
                .flatMapErrorThrowing { error in
                    channel.close(promise: nil)
                    throw error
                }
        }

        func handle(value: Value, logger: Logger) async {
            await ServedClient.$current.withValue(value.client) {
                await base.handle(value: value.base, logger: logger)
            }
        }
    }
#endif
