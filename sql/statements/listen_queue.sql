-- Hear of operators' commands for deliveries in a worker's hand.
LISTEN baton_queue;
