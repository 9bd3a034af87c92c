import { describe } from 'vitest';
import { EMBEDDED } from '../support/pubsub-target.ts';
import { integrates } from './suite.ts';

describe(`on ${EMBEDDED.name}`, () => integrates(EMBEDDED));
