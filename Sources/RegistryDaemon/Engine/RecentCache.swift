/// What was looked at lately, up to a size: in two generations, of which the older is forgotten when the younger is full.
struct RecentCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private var size = 0
    private let limit: Int

    /// - Parameter limit: the most that both generations weigh.
    init(limit: Int) { self.limit = limit / 2 }

    /// What is known of a key; it stays known for longer.
    mutating func value(_ key: Key, weight: (Value) -> Int = { _ in 1 }) -> Value? {
        if let value = young[key] { return value }
        guard let value = old[key] else { return nil }
        insert(value, for: key, weight: weight(value))
        return value
    }

    mutating func insert(_ value: Value, for key: Key, weight: Int = 1) {
        if size + weight > limit {
            old = young
            young = [:]
            size = 0
        }
        // What weighs too much would throw all else out.
        guard weight <= limit else { return remove(key) }
        young[key] = value
        size += weight
    }

    mutating func remove(_ key: Key) {
        young[key] = nil
        old[key] = nil
    }
}
